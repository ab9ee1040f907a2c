"""The programs around bundles in ``examples/``, set up and started as their READMEs say."""

from __future__ import annotations

import re
import subprocess
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

import resnet_deploy as rd
from tests.support import npm
from tests.support.browser import find_browser
from tests.support.cli import run
from tests.support.devtools import open_browser
from tests.support.markdown import ROOT, blocks
from tests.support.static_server import serve

PICTURE = Path("classifier") / "golden" / "photo-like.ppm"


@pytest.fixture
def start(tmp_path: Path, tiny_export: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which a reader begins: the examples and a deployed network are there."""
    (tmp_path / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
    (tmp_path / "deployed").symlink_to(tiny_export, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def set_up(name: str) -> list[str]:
    """Run the commands of an example's README up to ``npm ci``; return those that follow."""
    readme = ROOT / "examples" / name / "README.md"
    for line in (line for block in blocks(readme, "sh") for line in block.splitlines()):
        verb, *words = line.split()
        if verb == "resnet-deploy":
            done = run(*words)
            assert done.exit_code == 0, done.output
        else:
            subprocess.run([verb, *words], check=True)
    (console,) = blocks(readme, "console")
    installs, *rest = (line.removeprefix("$ ") for line in console.splitlines())
    found = re.fullmatch(r"npm ci --prefix (my_\w+/classifier)", installs)
    assert found is not None
    npm.ci(Path(found[1]))
    return rest


def check(said: str, name: str, picture: Path) -> None:
    """What an example says of a picture is what Python says of it."""
    title, *lines = said.splitlines()
    assert title == name
    found = {label: float(share) for share, label in (line.split(" %  ") for line in lines)}
    (wanted,) = rd.predict("deployed/resnet8.int8.onnx", picture, top_k=3).predictions
    shares = {one.label: 100 * one.probability for one in wanted.classes}
    assert len(found) == 3
    assert found == pytest.approx(shares, abs=0.1)


def test_a_program_for_node(start: Path) -> None:
    node = npm.find_node()
    (command,) = set_up("node")
    program, *files = command.removeprefix("node ").split()
    check(npm.run([node, program, *files], start).stdout, files[0], start / files[0])
    done = npm.run([node, program, "examples/node/README.md"], start, expect=1)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("examples/node/README.md ")


def test_a_web_page(start: Path) -> None:
    npm.find_node()
    (command,) = set_up("web")
    assert command.startswith("python3 -m http.server --bind 127.0.0.1 --directory my_page ")
    page = start / "my_page"
    npm.run(["npm", "run", "postinstall"], page / "classifier")
    picture, broken = start / "photo.png", start / "broken.png"
    with Image.open(page / PICTURE) as image:
        image.save(picture)
    broken.write_bytes(b"no picture")
    with serve(start, "my_page") as site, open_browser(find_browser(), start) as browser:
        tab = browser.open(f"{site.address}/")
        says = partial("document.querySelector('output').textContent.startsWith('{}')".format)
        tab.wait_for(says("Choose a picture."))
        for file in (picture, broken, picture):
            tab.choose("input", file)
            tab.wait_for(says(file.name))
            said = tab.evaluate("document.querySelector('output').textContent")
            if file == broken:
                assert said.startswith("broken.png is not a JPEG, PNG, WebP, GIF, BMP")
            else:
                check(said, picture.name, picture)
        assert tab.complaints == []
        assert [url for url in tab.requests if not url.startswith((site.address, "data:"))] == []
