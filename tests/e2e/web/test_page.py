"""The web bundle's page in a real browser: pictures go in by every way, classes come out."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.data.images import read_image
from resnet_deploy.data.preprocess import prepare
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import SessionSpec
from tests.e2e.conftest import CLASSES
from tests.support.browser import brightness, colours
from tests.support.devtools import Tab
from tests.support.web_pages import (
    answer_in_own_page,
    clean,
    is_shown,
    open_page,
    shown_classes,
    text,
)


def wanted_classes(model: Path, picture: Path) -> list[tuple[str, float]]:
    artifact = load(model)
    with contextlib.closing(OrtRunner(model, SessionSpec(threads=1))) as runner:
        scores = runner.infer(prepare(read_image(picture), artifact.preprocess)[None])[0]
    powers = np.exp(scores.astype(np.float64) - scores.max())
    shares = powers / powers.sum()
    return [(CLASSES[index], float(shares[index])) for index in np.argsort(-scores)[:5]]


def check_classes(found: list[tuple[str, float]], wanted: list[tuple[str, float]]) -> None:
    assert found[0][0] == wanted[0][0]
    assert dict(found) == pytest.approx(dict(wanted), abs=1e-4)


def test_the_faster_network_is_taken_and_can_be_changed(page, site, picture, resnet20_export):
    assert re.search(r"(faster in \d+ of|No clear difference in) \d+ rounds", text(page, "choice"))
    for index, precision in enumerate(("int8", "fp32")):
        page.evaluate(f"document.querySelectorAll('#networks input')[{index}].click()")
        page.choose("#file", picture)
        page.wait_for(f"document.getElementById('times').textContent.includes('({precision})')")
        name = "resnet20.int8.onnx" if precision == "int8" else "resnet20.onnx"
        check_classes(shown_classes(page, picture), wanted_classes(resnet20_export / name, picture))
    clean(page, site.address)


def test_the_faster_one_must_be_clearly_faster(page):
    rounds = {
        "second": [[3, 2], [3, 2], [3, 2], [2, 3]],
        "unclear": [[3, 2], [3, 2], [2, 3], [2, 3]],
        "first": [[2, 3], [2, 3], [2, 3], [2, 2]],
    }
    found = page.evaluate(
        f"import('./app/speed.js').then(({{chosen, explained}}) =>"
        f" Object.values({json.dumps(rounds)}).map(chosen).map((speed) =>"
        " [speed.fastest, explained(speed, ['int8', 'fp32'])]))"
    )
    assert found == [
        [1, "fp32 was faster in 3 of 4 rounds: it is taken."],
        [0, "No clear difference in 4 rounds: int8 is taken."],
        [0, "int8 was faster in 4 of 4 rounds: it is taken."],
    ]


def test_by_keyboard_alone(page, picture):
    page.send("Page.setInterceptFileChooserDialog", enabled=True)
    page.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.press("Enter")
    dialog = page.wait_for_event("Page.fileChooserOpened")
    page.send("DOM.setFileInputFiles", backendNodeId=dialog["backendNodeId"], files=[str(picture)])
    shown_classes(page, picture)
    page.press("Tab")
    assert page.evaluate("document.activeElement.name") == "network"
    number = "document.querySelector('#networks input:checked').value"
    before = page.evaluate(number)
    page.press("ArrowDown")
    after = page.evaluate(number)
    assert {before, after} == {"0", "1"}
    precision = ("int8", "fp32")[int(after)]
    page.wait_for(f"document.getElementById('times').textContent.includes('({precision})')")


def test_dropped_and_pasted_in_the_dark_on_a_phone(page, site, picture, tmp_path):
    page.resize(width=390, height=844, dark=True)
    page.drop("h1", picture)
    dropped = shown_classes(page, picture)
    assert page.evaluate("document.getElementById('file').files[0].name") == picture.name
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    dark = page.screenshot(tmp_path / "dark.png")
    assert colours(dark) > 100
    assert brightness(dark) < 80
    page.resize()
    light = page.screenshot(tmp_path / "light.png")
    assert colours(light) > 100
    assert brightness(light) > 200
    encoded = json.dumps(base64.b64encode(picture.read_bytes()).decode())
    page.evaluate(
        "(() => { const clipboardData = new DataTransfer();"
        f" const bytes = Uint8Array.fromBase64({encoded});"
        " clipboardData.items.add(new File([bytes], 'pasted.png', {type: 'image/png'}));"
        " document.body.dispatchEvent("
        "   new ClipboardEvent('paste', {clipboardData, bubbles: true})); })()"
    )
    assert shown_classes(page, Path("pasted.png")) == dropped
    clean(page, site.address)


def test_a_broken_picture_is_named_and_the_next_one_works(page, site, picture, tmp_path):
    broken = {"words.png": b"no picture", "empty.png": b"", "short.png": picture.read_bytes()[:60]}
    for name, data in broken.items():
        (tmp_path / name).write_bytes(data)
        page.choose("#file", tmp_path / name)
        page.wait_for(f"document.getElementById('error').textContent.startsWith('{name}')")
        said = "is truncated" if name == "short.png" else "is not a JPEG, PNG, WebP, GIF, BMP"
        assert said in text(page, "error")
        check_nothing_is_left(page)
    page.choose("#file", picture)
    shown_classes(page, picture)
    assert not is_shown(page, "error")
    clean(page, site.address)


def check_nothing_is_left(page: Tab) -> None:
    """No picture, no bar and no time of an older picture is to be seen."""
    assert not is_shown(page, "preview")
    assert text(page, "times") == ""
    assert text(page, "classes").strip() == ""
    bars = "[...document.querySelectorAll('#classes meter')].map((bar) => bar.value)"
    assert page.evaluate(bars) == [0] * 5


def place_of(page: Tab, name: str) -> Any:
    return page.evaluate(
        "(({top, height}) => [Math.round(top + scrollY), Math.round(height)])"
        f"(document.getElementById('{name}').getBoundingClientRect())"
    )


# Reading a file waits until a test lets it go on.
_HOLD = """
(() => {
  const real = File.prototype.arrayBuffer;
  window.held = {};
  File.prototype.arrayBuffer = async function () {
    await new Promise((resolve) => { window.held[this.name] = resolve; });
    return real.call(this);
  };
  window.letGo = () => { delete File.prototype.arrayBuffer; };
})()
"""


def test_nothing_of_an_older_picture_stays_beside_a_newer_one(page, site, picture, tmp_path):
    """While one is read, after one that can't be, after what is not a file: and nothing moves."""
    page.resize(width=390, height=844)
    page.choose("#file", picture)
    shown_classes(page, picture)
    places = [place_of(page, name) for name in ("choose", "result", "networks")]
    page.evaluate(_HOLD)
    other = tmp_path / "other.png"
    other.write_bytes(picture.read_bytes())
    page.choose("#file", other)
    page.wait_for("held['other.png'] !== undefined")
    assert text(page, "status") == "Reading other.png…"
    assert page.evaluate("document.getElementById('result').ariaBusy") == "true"
    check_nothing_is_left(page)
    # One that is dropped meanwhile wins, whichever is read first.
    page.drop("h1", picture)
    page.wait_for(f"held['{picture.name}'] !== undefined")
    page.evaluate(f"held['{picture.name}']()")
    wanted = shown_classes(page, picture)
    page.evaluate("held['other.png']()")
    page.evaluate("new Promise((resolve) => setTimeout(resolve, 200))")
    assert shown_classes(page, picture) == wanted
    assert page.evaluate("document.getElementById('preview').ariaLabel").endswith(picture.name)
    assert is_shown(page, "preview")
    page.evaluate("letGo()")

    (tmp_path / "words.png").write_bytes(b"no picture")
    page.choose("#file", tmp_path / "words.png")
    page.wait_for("document.getElementById('error').textContent.startsWith('words.png')")
    check_nothing_is_left(page)
    assert [place_of(page, name) for name in ("choose", "result", "networks")] == places
    # The network that is chosen now has nothing to answer to.
    page.evaluate("document.querySelector('#networks input:not(:checked)').click()")
    assert text(page, "error").startswith("words.png")

    page.choose("#file", picture)
    shown_classes(page, picture)
    page.evaluate(
        "document.body.dispatchEvent(new DragEvent('drop',"
        " {dataTransfer: new DataTransfer(), bubbles: true, cancelable: true}))"
    )
    page.wait_for("document.getElementById('error').textContent.startsWith('That was no file')")
    check_nothing_is_left(page)
    assert page.evaluate("document.getElementById('file').files.length") == 0
    assert [place_of(page, name) for name in ("choose", "result", "networks")] == places
    page.resize()
    clean(page, site.address)


def test_the_code_of_the_readme_in_a_page_of_its_own(
    page, browser, site, bundle, picture, resnet20_export
):
    best = answer_in_own_page(browser, site, bundle, picture)
    wanted = wanted_classes(resnet20_export / "resnet20.int8.onnx", picture)
    check_classes([(one["label"], one["probability"]) for one in best], wanted[:3])


def test_labels_are_text_whatever_they_say(browser, site, picture):
    hostile = "<img src=x onerror=document.title='caught'>"
    site.replaced["labels.txt"] = f"{hostile}\n".encode() * len(CLASSES)
    tab = open_page(browser, site.address)
    tab.choose("#file", picture)
    assert {label for label, _ in shown_classes(tab, picture)} == {hostile}
    clean(tab, site.address)


def test_a_page_that_can_not_check_the_model_says_so(browser, site, picture):
    tab = browser.open("about:blank")
    tab.send(
        "Page.addScriptToEvaluateOnNewDocument",
        source="Object.defineProperty(crypto, 'subtle', { value: undefined });",
    )
    tab.go(f"{site.address}/")
    tab.wait_for("document.getElementById('status').textContent.startsWith('Ready')")
    assert text(tab, "warning").startswith("Not checked for damage: model.onnx, alternative.onnx.")
    assert is_shown(tab, "warning")
