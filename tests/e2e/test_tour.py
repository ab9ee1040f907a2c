"""The ``resnet-deploy`` lines of the tour run as they stand, in order, in one folder.

So do the Python blocks of every page of ``docs``, in one namespace per page; the README and the
tutorials have a module of their own.
"""

import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.forks import run_forked, script_forked
from tests.support.markdown import PAGES, ROOT, blocks

COMMANDS = [
    line
    for block in blocks(ROOT / "docs" / "how-to" / "tour.md", "sh")
    for line in block.splitlines()
    if line.startswith("resnet-deploy ")
]
FIRST = {shlex.split(command)[1]: command for command in reversed(COMMANDS)}
SCRIPTS = {
    str(page.relative_to(ROOT)): "\n".join(found)
    for page in PAGES
    if (found := blocks(page, "python")) and page.parent.name != "tutorials" and page.parent != ROOT
}
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def with_images(folder: Path) -> Path:
    """Write what the pages take for granted: images of CIFAR-10's classes in class folders."""
    random = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in CLASSES:
            (folder / "images" / split / name).mkdir(parents=True)
            pixels = random.integers(0, 256, (40, 36, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / split / name / "0.jpg")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = with_images(tmp_path_factory.mktemp("readme"))
    (matrix,) = blocks(ROOT / "docs" / "how-to" / "tour.md", "toml")
    (made / "matrix.toml").write_text(matrix, encoding="utf-8")
    return made


def test_the_tour_shows_every_verb() -> None:
    from resnet_deploy.cli.main import VERBS

    assert {shlex.split(command)[1] for command in COMMANDS} == set(VERBS)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_runs(command: str, folder: Path) -> None:
    """The first export is started as a user does, all else where PyTorch is.

    The first command of each verb imports this project's modules in its own order all the same.
    """
    words = shlex.split(command)[1:]
    if command == FIRST["export"]:
        done = subprocess.run(
            [sys.executable, "-m", "resnet_deploy", *words],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    else:
        done = run_forked(*words, cwd=folder, new_modules=command in FIRST.values())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_command_that_fails_would_be_seen(tmp_path: Path) -> None:
    done = run_forked("summary", "nothing.onnx", cwd=tmp_path)
    assert done.returncode == 2
    assert "nothing.onnx does not exist" in done.stderr
    assert done.stdout == ""


def test_the_tour_and_the_page_on_the_api_have_python_blocks() -> None:
    assert {"docs/how-to/tour.md", "docs/reference/api.md"} <= set(SCRIPTS)


@pytest.mark.parametrize("page", SCRIPTS)
def test_python_blocks_run(page: str, tmp_path: Path) -> None:
    with_images(tmp_path)
    done = script_forked(SCRIPTS[page], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "import warnings; warnings.warn('old')"])
def test_a_block_that_fails_would_be_seen(code: str, tmp_path: Path) -> None:
    assert script_forked(code, tmp_path).returncode != 0
