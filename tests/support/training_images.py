"""Synthetic images to train on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from resnet_deploy.data.arrays import ArrayDataset
from resnet_deploy.spec import InputContract
from resnet_deploy.training.data import LabelledImages
from tests.support.contracts import square

SIZE = 16
SPEC = square(SIZE)


def pixels(count: int, seed: int = 0, size: int = SIZE) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, 256, (count, size, size, 3)).astype(np.uint8)


def labelled_images(count: int, *, kept: bool = True, spec: InputContract = SPEC, size: int = SIZE):
    """Return images of three classes, in memory or not."""
    labels = np.arange(count, dtype=np.int64) % 3
    images = pixels(count, size=size)
    dataset = ArrayDataset(name="made-up", images=images, labels=labels, classes=("a", "b", "c"))
    places = np.arange(count)
    result = LabelledImages(dataset=dataset, places=places, labels=labels, preprocess=spec)
    if not kept:
        return result
    return replace(result, kept=np.stack([result.evaluated(index) for index in range(count)]))


def folder(root: Path, train: int = 6, test: int = 3) -> Path:
    """Write ``train/`` and ``test/`` of the classes a, b and c, as PNG files of two sizes."""
    for split, count in (("train", train), ("test", test)):
        for index, image in enumerate(pixels(count, seed=len(split), size=SIZE + 4)):
            file = root / split / "abc"[index % 3] / f"{index}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[: SIZE + 4 * (index % 2)]).save(file)
    return root
