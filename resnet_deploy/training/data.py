"""Opening what a network is trained on: the training images, the test images, their classes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from resnet_deploy.data.datasets import Dataset, open_dataset
from resnet_deploy.data.folder import ImageFolder
from resnet_deploy.data.loader import image_name, prepared_batches
from resnet_deploy.data.preprocess import in_channels_of, prepare
from resnet_deploy.data.sampling import in_order
from resnet_deploy.data.splits import TRAINING_SPLITS
from resnet_deploy.errors import DatasetError, SpecError
from resnet_deploy.paths import resolved
from resnet_deploy.progress import ImageStage, Progress, silent
from resnet_deploy.spec import ChannelOrder, InputContract, InputFormat

Pixels = NDArray[np.uint8]

MEMORY = 1 << 30
"""Bytes of pixels, of both parts together, up to which all images are kept in memory."""

_LAYOUT = "DIR/train/<class>/*.jpg, and DIR/test/ or DIR/val/ with the same classes"
_DECODED_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledImages:
    """Labelled images, decoded once and kept in memory or decoded when asked for.

    Args:
        dataset: where they come from.
        places: which images of ``dataset`` these are, int64 ``(N,)``.
        labels: the class of each, int64 ``(N,)``.
        preprocess: how an image is evaluated.
        kept: all images as :meth:`evaluated` returns them, uint8 ``(N, S, S, C)``; or None.
    """

    dataset: Dataset
    places: NDArray[np.int64]
    labels: NDArray[np.int64]
    preprocess: InputContract
    kept: Pixels | None = None

    def __len__(self) -> int:
        return len(self.places)

    def name_of(self, index: int) -> str:
        """Return what to call one image: its path in the folder, or its place in the array."""
        return image_name(self.dataset, int(self.places[index]))

    def original(self, index: int) -> Image.Image:
        """Return one image in the channels of the input, in the size it was saved.

        Raises:
            DatasetError: it can't be read.
        """
        return in_channels_of(
            self.dataset.image(int(self.places[index])), self.preprocess.channel_order
        )

    def evaluated(self, index: int) -> Pixels:
        """Return one image, resized and cropped as for evaluation: uint8 ``(S, S, C)``.

        Raises:
            DatasetError: it can't be read or resized.
        """
        if self.kept is not None:
            return np.asarray(self.kept[index])
        image = self.original(index)
        try:
            return prepare(image, as_bytes(self.preprocess))
        except DatasetError as error:
            raise DatasetError(f"{self.name_of(index)}: {error}") from error


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingData:
    """What a network is trained on and what it is tested on.

    ``classes`` are those of the training images; the labels of both parts point into them.
    ``fingerprint`` is a SHA-256 that changes with the images of either part.
    """

    train: LabelledImages
    test: LabelledImages
    classes: tuple[str, ...]
    name: str
    fingerprint: str


def open_training_data(
    path: Path,
    preprocess: InputContract,
    *,
    progress: Progress = silent,
    limit: int | None = None,
    follow_links: bool = False,
    memory: int = MEMORY,
) -> TrainingData:
    """Open a dataset that has a training and a test part.

    An image folder with ``train/`` and ``test/`` or ``val/``, the CIFAR python batches, a folder
    of IDX files, or an ``.npz`` file with both. Images that fit in ``memory`` are decoded now,
    so that a damaged one is found before the training begins.

    Args:
        path: the folder or file.
        preprocess: how an image is evaluated; only sizes, channels, mean and std matter.
        progress: told how many images are decoded.
        limit: take this many images of each part, spread evenly over the classes.
        follow_links: follow links out of the folder.
        memory: see :data:`MEMORY`.

    Raises:
        DatasetError: nothing there, not both parts, no labels, one class only, an empty class
            folder, a test class that is not trained, or an image that can't be read.
        SpecError: ``limit`` is less than 1.
    """
    if limit is not None and limit < 1:
        raise SpecError(f"{limit} images are too few to train on: take at least 1")
    train, test = _open_parts(path, follow_links=follow_links)
    for part in (train, test):
        if not part.labelled:
            raise DatasetError(f"{path}: the images of {part.name} have no labels")
    _refuse_empty_classes(train)
    trained = {train.label(index) for index in range(len(train))}
    if len(trained) < 2:
        raise DatasetError(
            f"{path}: {train.name} has images of one class only "
            f"({train.classes[trained.pop()]!r}): a classifier needs two"
        )
    to_class = _class_map(path, train, test)
    parts = [
        _choose(train, range(len(train.classes)), preprocess, limit),
        _choose(test, to_class, preprocess, limit),
    ]
    if preprocess.values * sum(map(len, parts)) <= memory:
        parts = _decoded(parts, progress)
    digest = hashlib.sha256(f"{train.fingerprint()} {test.fingerprint()} {limit}".encode())
    return TrainingData(
        train=parts[0],
        test=parts[1],
        classes=train.classes,
        name=resolved(path).name,
        fingerprint=digest.hexdigest(),
    )


def as_bytes(preprocess: InputContract) -> InputContract:
    """Return the same preparation up to the crop, as pixels in RGB, RGBA or grey."""
    order = preprocess.channel_order
    return replace(
        preprocess,
        format=InputFormat.UINT8_NHWC,
        channel_order=ChannelOrder.RGB if order is ChannelOrder.BGR else order,
        resize_in_graph=False,
    )


def _open_parts(path: Path, *, follow_links: bool) -> tuple[Dataset, Dataset]:
    train = open_dataset(path, train=True, follow_links=follow_links)
    if isinstance(train, ImageFolder):
        if not train.split:
            raise DatasetError(f"{path} is one set of images: training needs {_LAYOUT}")
        if train.split.casefold() not in TRAINING_SPLITS:
            raise DatasetError(
                f"{path} holds {train.split}/ but no train/ with class folders: training needs "
                f"{_LAYOUT}"
            )
        try:
            return train, open_dataset(path, follow_links=follow_links)
        except DatasetError as error:
            raise DatasetError(f"{error}; training needs {_LAYOUT}") from error
    test = open_dataset(path)
    if train.fingerprint() == test.fingerprint():
        raise DatasetError(
            f"{path} holds the same images for training and for testing ({test.name}): name a "
            "folder or .npz file that has both parts"
        )
    return train, test


def _refuse_empty_classes(part: Dataset) -> None:
    """A class folder without images is a copy that went wrong: the class would vanish."""
    if not isinstance(part, ImageFolder):
        return
    for name in sorted(path.name for path in Path(str(part.root)).iterdir() if path.is_dir()):
        if not name.startswith(".") and name not in part.classes:
            raise DatasetError(f"{part.root / name} holds no images: fill or remove the folder")


def _class_map(path: Path, train: Dataset, test: Dataset) -> tuple[int, ...]:
    """Return which class of ``train`` each class of ``test`` is, by name."""
    known = {name: index for index, name in enumerate(train.classes)}
    for name in test.classes:
        if name not in known:
            raise DatasetError(
                f"{path}: {test.name} has a class {name!r} that {train.name} does not have: "
                "rename or remove it"
            )
    return tuple(known[name] for name in test.classes)


def _choose(
    dataset: Dataset, to_class: Sequence[int], preprocess: InputContract, limit: int | None
) -> LabelledImages:
    chosen = in_order(dataset, limit)
    places = np.array(chosen, dtype=np.int64)
    labels = np.array([to_class[dataset.label(index)] for index in chosen], dtype=np.int64)
    return LabelledImages(dataset=dataset, places=places, labels=labels, preprocess=preprocess)


def _decoded(parts: Sequence[LabelledImages], progress: Progress) -> list[LabelledImages]:
    done, total, result = 0, sum(map(len, parts)), []
    for part in parts:
        shape, start = as_bytes(part.preprocess).shape, 0
        kept = np.empty((len(part), *shape), dtype=np.uint8)
        places, wanted = part.places.tolist(), [as_bytes(part.preprocess)]
        for batch in prepared_batches(part.dataset, places, wanted, batch_size=_DECODED_AT_ONCE):
            kept[start : start + len(batch.indices)] = batch.inputs[0]
            start += len(batch.indices)
            done += len(batch.indices)
            progress(ImageStage("decoding"), done, total)
        result.append(replace(part, kept=kept))
    return result
