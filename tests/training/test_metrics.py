import importlib.util
import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from resnet_deploy.errors import ArtifactError
from resnet_deploy.training.metrics import Metrics


def write(path: Path, *steps: int, per_epoch: int = 2) -> None:
    metrics = Metrics(path)
    for step in steps:
        metrics.write("step", step, {"loss": 1 / step})
        if step % per_epoch == 0:
            metrics.write("epoch", step, {"number": step // per_epoch})
    metrics.close()


def kept(path: Path) -> list[tuple[str, int]]:
    return [
        (entry["kind"], entry["steps"]) for entry in map(json.loads, path.read_text().splitlines())
    ]


def test_every_line_is_json(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, 1, 2, 3)
    assert kept(path) == [("step", 1), ("step", 2), ("epoch", 2), ("step", 3)]


@pytest.mark.parametrize(
    ("steps", "epochs", "expected"),
    [
        (3, 1, [("step", 1), ("step", 2), ("epoch", 2), ("step", 3)]),
        (2, 1, [("step", 1), ("step", 2), ("epoch", 2)]),
        # Saved after the last step, before the evaluation whose line was written all the same.
        (2, 0, [("step", 1), ("step", 2)]),
        (0, 0, []),
    ],
)
def test_a_run_that_goes_on_drops_later_lines(
    steps: int, epochs: int, expected: list[tuple[str, int]], tmp_path: Path
) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, 1, 2, 3, 4)
    Metrics(path, steps=steps, epochs=epochs).close()
    assert kept(path) == expected


@pytest.mark.parametrize(
    "tail",
    [b'{"kind": "step", "st', b'{"kind": "step", "steps": 2}', b"\xff\x00\n", b"[1]\n7\n{}\n"],
    ids=["cut", "no-newline", "bytes", "other"],
)
def test_half_lines_are_repaired(tail: bytes, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, 1)
    path.write_bytes(path.read_bytes() + tail)
    metrics = Metrics(path, steps=5)
    metrics.write("step", 6, {})
    assert kept(path) == [("step", 1), ("step", 6)]


def test_a_file_that_can_not_be_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    metrics = Metrics(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(ArtifactError, match=r"cannot write .*metrics\.jsonl: Is a directory"):
        metrics.write("step", 1, {})


def test_tensorboard_is_written_where_it_is_installed(tmp_path: Path) -> None:
    if importlib.util.find_spec("tensorboard") is None:
        pytest.skip("tensorboard is not installed (extra train)")
    write(tmp_path / "metrics.jsonl", 1, 2)
    assert list((tmp_path / "tensorboard").glob("events.out.tfevents.*"))


def test_nothing_is_missed_without_tensorboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    write(tmp_path / "metrics.jsonl", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_tensorboard_gets_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Board:
        def __init__(self) -> None:
            self.scalars: list[tuple[str, float, int]] = []

        def add_scalar(self, name: str, value: float, step: int) -> None:
            self.scalars.append((name, value, step))

        def close(self) -> None:
            self.scalars.append(("closed", 0, 0))

    board = Board()
    package, writer = ModuleType("tensorboard"), ModuleType("torch.utils.tensorboard")
    package.__spec__ = ModuleSpec("tensorboard", None)
    vars(writer)["SummaryWriter"] = lambda folder, purge_step: board
    monkeypatch.setitem(sys.modules, "tensorboard", package)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", writer)
    write(tmp_path / "metrics.jsonl", 2)
    assert board.scalars == [("step/loss", 0.5, 2), ("epoch/number", 1, 2), ("closed", 0, 0)]
