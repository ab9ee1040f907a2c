"""A clock that is wrong, or set back while a command runs: nothing is measured by it."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import run
from tests.support.tiny_model import save_colour_model
from tests.support.training_images import folder as labelled_folder
from tests.support.training_runs import made_up

NET = ("--depth", "8", "--image-size", "16", "--num-classes", "3", "--threads", "1")
QUICK = ("--epochs", "2", "--batch-size", "8", "--precision", "float32", "--recipe", "cifar-fast")
LATER = 4_000_000_000
"""In the year 2096."""

COMMANDS: dict[str, tuple[str, ...]] = {
    "predict": ("predict", "colours.onnx", "data/test/a/0.png"),
    "summary": ("summary", "colours.onnx"),
    "evaluate": ("evaluate", "colours.onnx", "--data", "data/test"),
    "record": ("evaluate", "colours.onnx", "--data", "data/test", "--record"),
    "bench": ("bench", "colours.onnx", "--runner", "ort", "--rounds", "2", "--runs", "2"),
    "quantize": (
        *("quantize", "resnet8.onnx", "-o", "out", "--calibration-samples", "8", "--keep-slow"),
        *("--calibration-cache", "cache", "--threads", "1"),
    ),
    "bundle": ("bundle", "colours.onnx", "--target", "cpp", "-o", "bundle", "--pictures", "1"),
    "tune": (
        *("tune", "colours.onnx", "--data", "data/test", "-o", "tuned", "--min-agreement", "0"),
        *("--time-limit", "1s", "--threads", "1"),
    ),
    "train": ("train", *NET, *QUICK, "--data", "made-up.npz", "-o", "run", "--save-seconds", "0"),
}


@pytest.fixture
def back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the clock back by a day whenever it is asked."""
    ticks = itertools.count()
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0 - 86_400 * next(ticks))
    monkeypatch.setattr("time.time_ns", lambda: int(1e9) * (1_700_000_000 - 86_400 * next(ticks)))


def durations(value: Any, name: str = "") -> Iterator[float]:
    """Yield every time that a result tells."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from durations(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from durations(item, name)
    elif isinstance(value, int | float) and name.endswith(("seconds", "_ms", "_ns", "per_second")):
        yield value


@pytest.mark.parametrize("verb", COMMANDS)
def test_nothing_is_measured_by_the_clock(
    verb: str, back: None, tiny_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    labelled_folder(tmp_path / "data")
    made_up(tmp_path / "made-up.npz")
    save_colour_model(tmp_path / "colours.onnx", labels=("a", "b", "c"))
    shutil.copy(tiny_export / "resnet8.onnx", tmp_path)
    again = ("--resume",) if verb == "train" else ()
    for options in ((), again):  # the second time over files from the future
        for path in tmp_path.rglob("*"):
            os.utime(path, (LATER, LATER))
        result = run(*COMMANDS[verb], *options, "--json", "result.json")
        assert result.exit_code == 0, result.output
        found = list(durations(json.loads(Path("result.json").read_bytes())))
        assert all(0 <= value < 1e12 for value in found), found
        assert found or verb in ("predict", "summary", "bundle")
