"""Tiny runs: ResNet-8 on synthetic images of three classes, a fraction of a second each."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from resnet_deploy.progress import Progress
from resnet_deploy.results.training import TrainingResult
from resnet_deploy.runners.cpu import environment
from resnet_deploy.spec.model_request import ModelRequest
from resnet_deploy.spec.train_request import TrainRequest
from resnet_deploy.spec.training import Augment, Recipe
from resnet_deploy.training.run import train

CLASSES = ("circle", "square", "triangle")
SIZE = 16
STEPS = 3
"""Updates in one epoch of :data:`RECIPE` over :func:`made_up`'s 25 training images."""

RECIPE = Recipe(epochs=2, batch_size=8, lr=0.05, augment=Augment.CROP_FLIP, pad=2)
NET = ModelRequest(depth=8, image_size=SIZE)

_TIMES = {"seconds", "waited", "images_per_second"}


def made_up(
    path: Path,
    train: int = 25,
    test: int = 9,
    size: int = SIZE,
    classes: tuple[str, ...] = CLASSES,
) -> Path:
    """Write an ``.npz`` of noisy images; each of three classes has a colour of its own."""
    draws = np.random.RandomState(0)
    arrays: dict[str, Any] = {"class_names": np.array(classes)}
    for part, count in (("train", train), ("test", test)):
        labels = np.arange(count) % len(classes)
        images = draws.randint(0, 160, (count, size, size, 3))
        images[np.arange(count), :, :, labels % 3] += 80
        arrays |= {f"x_{part}": images.astype(np.uint8), f"y_{part}": labels}
    np.savez(path, **arrays)
    return path


def request(data: Path, out: Path, **changes: Any) -> TrainRequest:
    return replace(TrainRequest(model=NET, data=data, out=out, recipe=RECIPE, threads=1), **changes)


def run(asked: TrainRequest, *, stop_at: int | None = None) -> TrainingResult:
    """Train; with ``stop_at`` Ctrl-C comes after that many steps."""
    return train(asked, environment("made up"), progress=at_step(stop_at, asked.recipe.batch_size))


def at_step(step: int | None, batch_size: int, do: Callable[[], None] | None = None) -> Progress:
    """Return a progress callback that does something after ``step`` updates: Ctrl-C, usually."""

    def progress(stage: str, done: int, total: int) -> None:
        if stage == "training" and step is not None and done == step * batch_size:
            signal.raise_signal(signal.SIGINT) if do is None else do()

    return progress


def lines(out: Path) -> list[dict[str, Any]]:
    """Return the metrics of a run, all but the times."""
    text = (out / "metrics.jsonl").read_text()
    assert text.endswith("\n")
    parsed = [json.loads(line) for line in text.splitlines()]
    return [{key: one[key] for key in one.keys() - _TIMES} for one in parsed]


def weights(out: Path) -> dict[str, bytes]:
    """Return the files of weights of a run, byte for byte."""
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.safetensors"))}


def same(out: Path, other: Path) -> bool:
    """Whether two runs ended alike, bit for bit, except for their times."""
    return weights(out) == weights(other) != {} and lines(out) == lines(other) != []


def copied(out: Path, to: Path) -> Path:
    shutil.copytree(out, to)
    return to
