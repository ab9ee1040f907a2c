"""Every `resnet-deploy` line of the README runs as it stands, in order, in one folder."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

README = Path(__file__).resolve().parents[2] / "README.md"
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README.read_text(encoding="utf-8"), re.S | re.M)
COMMANDS = [
    line for block in BLOCKS for line in block.splitlines() if line.startswith("resnet-deploy ")
]
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the README takes for granted: images of CIFAR-10's classes in class folders."""
    folder = tmp_path_factory.mktemp("readme")
    random = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in CLASSES:
            (folder / "images" / split / name).mkdir(parents=True)
            pixels = random.integers(0, 256, (40, 36, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / split / name / "0.jpg")
    return folder


def test_the_readme_shows_every_verb() -> None:
    from resnet_deploy.cli.main import VERBS

    assert {shlex.split(command)[1] for command in COMMANDS} == set(VERBS)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_runs(command: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "resnet_deploy", *shlex.split(command)[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
