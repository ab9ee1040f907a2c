"""The HTML reports in a real browser: light, dark and on paper, without a script or the network."""

from __future__ import annotations

from pathlib import Path

import pytest

from resnet_deploy.report import html
from tests.support.browser import brightness, colours, find_browser, look
from tests.support.html_reading import read
from tests.support.reports.samples import CHARTED

_HEIGHT = 700
"""Pixels of each page in the picture of all."""


@pytest.fixture(scope="module")
def browser() -> str:
    return find_browser()


@pytest.mark.parametrize("kind", CHARTED)
def test_a_page_of_every_kind(kind: str, browser: str, tmp_path: Path) -> None:
    page = html(CHARTED[kind])
    file = tmp_path / f"{kind}.html"
    file.write_text(page, encoding="utf-8")
    seen = look(browser, file, tmp_path / "light")
    assert seen.console == ()
    assert seen.requests == ()
    # The browser's parser repairs what is broken: the same headings mean that nothing was.
    written, parsed = read(page).texts, read(seen.dom).texts
    for tag in ("h1", "h2", "h3", "svg", "caption"):
        assert parsed.get(tag) == written.get(tag)
    assert colours(seen.screenshot) > 100
    assert brightness(seen.screenshot) > 200
    assert seen.pdf.startswith(b"%PDF")
    assert len(seen.pdf) > 10_000


def test_all_pages_in_the_dark(browser: str, tmp_path: Path) -> None:
    """One picture of all pages, one below the other: a browser takes a second to start."""
    frames = []
    for kind, result in CHARTED.items():
        (tmp_path / f"{kind}.html").write_text(html(result), encoding="utf-8")
        frames.append(f"<iframe src='{kind}.html'></iframe>")
    style = f"body {{ margin: 0 }} iframe {{ display: block; width: 100%; height: {_HEIGHT}px; }}"
    every = tmp_path / "every.html"
    every.write_text(
        "<!DOCTYPE html><meta name='color-scheme' content='light dark'>"
        f"<style>{style} iframe {{ border: 0 }}</style>{''.join(frames)}"
    )
    height = _HEIGHT * len(CHARTED)
    seen = look(browser, every, tmp_path / "dark", dark=True, height=height)
    assert seen.console == ()
    for number, kind in enumerate(CHARTED):
        top = _HEIGHT * number
        picture = seen.screenshot.crop((0, top, seen.screenshot.width, top + _HEIGHT))
        assert colours(picture) > 100, kind
        assert brightness(picture) < 80, kind


def test_the_browser_would_tell(browser: str, tmp_path: Path) -> None:
    """Errors and requests are seen where there are some: the tests above can fail."""
    file = tmp_path / "bad.html"
    file.write_text(
        "<!DOCTYPE html><img src='http://127.0.0.1:9/x.png'><script>console.error('oops')</script>"
    )
    seen = look(browser, file, tmp_path / "bad")
    assert any("oops" in line for line in seen.console)
    assert seen.requests[0] == "http://127.0.0.1:9/x.png"


@pytest.mark.parametrize(
    ("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)]
)
def test_no_browser_fails_in_ci_only(ci, outcome, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="apt-get install chromium"):
        find_browser()
