"""``tune`` in a process of its own, killed in the middle."""

from __future__ import annotations

import json
import os
import shutil
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from PIL import Image

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.data.synthetic import synthetic_images
from resnet_deploy.runners.ort_runner import OrtRunner
from tests.support.forks import FORKS, work


@pytest.fixture
def folder(tiny_export: Path, tmp_path: Path) -> Path:
    shutil.copy(tiny_export / "resnet8.onnx", tmp_path)
    for number, pixels in enumerate(synthetic_images(20, 32, 3)):
        target = tmp_path / "images" / str(number % 10) / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(target)
    return tmp_path


def start(folder: Path, seconds: int, said: Path) -> ForkServerProcess:
    said.mkdir()
    words = ["tune", "resnet8.onnx", "--data", "images", "--min-agreement", "0.5"]
    words += ["--time-limit", f"{seconds}s"]
    process: ForkServerProcess = FORKS.Process(
        target=work, args=(words, folder, dict(os.environ), said)
    )
    process.start()
    return process


def test_a_killed_search_goes_on_and_ends_with_what_to_ship(folder: Path) -> None:
    evidence = folder / "resnet8.tuned/tune.json"
    best = folder / "resnet8.tuned/resnet8.tuned.onnx"
    process = start(folder, 600, folder / "killed")
    end = time.monotonic() + 120
    while not evidence.exists() and time.monotonic() < end:
        time.sleep(0.1)
    process.kill()
    process.join(60)

    assert load(best).quantized
    OrtRunner(best).close()
    known = len(json.loads(evidence.read_text())["trials"])
    assert known >= 1

    said = folder / "said"
    process = start(folder, 8, said)
    process.join(120)

    stdout, stderr = ((said / name).read_text("utf-8") for name in ("stdout", "stderr"))
    assert process.exitcode == 0, stdout + stderr
    assert "PASS" in stdout
    assert "resnet-deploy bench" in stdout
    assert "ended the search early" in stdout
    report = json.loads(evidence.read_text())
    assert len(report["trials"]) > known
    page = (folder / "resnet8.tuned/tune.html").read_text()
    assert "What to do with it" in page
    card = load(best).card
    assert card is not None
    assert card.steps[-1].name == "tune"
