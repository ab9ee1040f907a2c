"""Datasets in numpy's ``.npz``, as Keras, MedMNIST and scikit-learn users save them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.data.arrays import (
    PICTURE_CHANNELS,
    ArrayDataset,
    array_dataset,
    check_shape,
)
from resnet_deploy.data.bombs import check_unpacked
from resnet_deploy.data.listing import first_few
from resnet_deploy.data.npy import NpzFile, read_npy
from resnet_deploy.errors import DatasetError

_PLAIN = (
    ("images", "image", "x", "X", "data", "arr_0"),
    ("labels", "label", "y", "target", "arr_1"),
)
_TEST = (("x_test", "X_test", "test_images"), ("y_test", "test_labels"))
_TRAIN = (("x_train", "X_train", "train_images"), ("y_train", "train_labels"))
_CLASSES = ("classes", "class_names", "label_names", "target_names")

_MOST_NAMES = 32 << 20
"""Bytes of the array of class names; those of 21,841 classes take a third of it."""

_AT_ONCE = 1 << 20
"""Pixels that are converted in one step."""

_FLOAT_RANGES = (1, 16, 255, 65535)
"""What "white" can be: a share, scikit-learn's digits, 8 bits, 16 bits."""


def open_npz(path: Path, *, train: bool = False) -> ArrayDataset:
    """Open images and labels in an ``.npz`` file.

    Images (keys ``x_test``, ``test_images``, ``images``, ``x``, ``data``, …) are ``(N, H, W)``,
    ``(N, H, W, C)`` or ``(N, C, H, W)``; of other than 1, 3 or 4 channels floats are taken as the
    network's normalised input. uint8 is taken as it is; for other types white is the
    lowest of 1, 16, 255 and 65535 that no value exceeds. Labels (``y_test``, ``labels``, ``y``,
    ``target``, …) are class indices and may be missing. Pickled objects are never loaded.

    Raises:
        DatasetError: no npz file, no images, pixels outside every known range, or counts that
            differ.
    """
    groups = (_TRAIN, _PLAIN, _TEST) if train else (_TEST, _PLAIN)
    with NpzFile(path) as archive:
        images, labels = _find(path, archive, groups)
        names = archive.first(_CLASSES, _MOST_NAMES)
    classes = () if names is None else _class_names(path, names)
    return array_dataset(path.name, _pixels(path, images), labels, classes)


def open_npy(path: Path) -> ArrayDataset:
    """Open images in an ``.npy`` file, as :func:`open_npz` reads them; it holds no labels.

    Raises:
        DatasetError: no npy file, or pixels outside every known range.
    """
    return array_dataset(path.name, _pixels(path, read_npy(path)), None)


def _find(
    path: Path, archive: NpzFile, groups: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    for image_names, label_names in groups:
        if (images := archive.first(image_names)) is not None:
            return images, archive.first(label_names)
    found = first_few(archive.names) or "nothing"
    raise DatasetError(f"{path} holds {found}: name the arrays 'images' and 'labels'")


def _class_names(path: Path, names: NDArray[Any]) -> tuple[str, ...]:
    if names.dtype.kind not in "USiu":
        raise DatasetError(f"{path} has class names of type {names.dtype}: give texts")
    if names.dtype.kind == "S":  # str() of bytes is what Python writes for them
        return tuple(name.decode("utf-8", "replace") for name in names.reshape(-1))
    return tuple(str(name) for name in names.reshape(-1))


def _pixels(path: Path, images: NDArray[Any]) -> NDArray[Any]:
    """Return ``images`` as bytes; floats of more channels than pictures have as they are."""
    check_shape(path.name, images)
    if images.dtype == np.uint8 or images.size == 0:
        return images.astype(np.uint8, copy=False)
    if images.dtype.kind not in "biuf":
        raise DatasetError(f"{path} holds images of type {images.dtype}: pixels are numbers")
    ends = (images.shape[1], images.shape[-1]) if images.ndim == 4 else PICTURE_CHANNELS
    if not set(ends) & set(PICTURE_CHANNELS):
        if not np.isfinite(images).all():
            raise DatasetError(f"{path} holds values that are NaN or infinite")
        check_unpacked(str(path), 4 * images.size, path.stat().st_size)
        return images.astype(np.float32)
    low, high = float(images.min()), float(images.max())
    white = next((white for white in _FLOAT_RANGES if high <= white), None)
    if white is None or not low >= 0:
        raise DatasetError(
            f"{path} holds pixels from {low:.4g} to {high:.4g}: give 0..255 or 0..1, not "
            "normalised (the model's own preprocessing is applied)"
        )
    pixels = np.empty(images.shape, np.uint8)
    _scale(images, 255 / white, pixels)
    return pixels


def _scale(values: NDArray[Any], factor: float, into: NDArray[np.uint8]) -> None:
    """Write ``values`` times ``factor``, rounded, ``into`` pixels, a little at a time."""
    each = values[0].size
    if each > _AT_ONCE:
        for part, target in zip(values, into, strict=True):
            _scale(part, factor, target)
        return
    step = _AT_ONCE // each
    for at in range(0, len(values), step):
        into[at : at + step] = np.rint(values[at : at + step] * factor).astype(np.uint8)
