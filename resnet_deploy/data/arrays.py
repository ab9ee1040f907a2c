"""A dataset that is one array of pixels in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from resnet_deploy.data.images import to_pixels
from resnet_deploy.errors import DatasetError

PICTURE_CHANNELS = (1, 3, 4)
"""Grey, RGB and RGBA."""

_MOST_IMAGES = 1 << 26
"""A thousand MNISTs; of one pixel each they may be as many as a file has bytes, and more."""

_MOST_CLASSES = 10**6
"""Beyond every image classifier: such a "label" is something else."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ArrayDataset:
    """Images ``(N, H, W)`` or ``(N, H, W, C)``, in uint8 where C is 1, 3 or 4.

    Of another number of channels they are not pictures but bands, in uint8 or float32. ``labels``
    holds one class index per image, or is None. ``numbers`` are those of the images in the dataset
    that they are a part of.
    """

    name: str
    images: NDArray[Any]
    labels: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()

    @property
    def labelled(self) -> bool:
        """Whether the class of each image is known."""
        return self.labels is not None

    def __len__(self) -> int:
        return len(self.images)

    def image(self, index: int) -> Image.Image:
        """Return one image in RGB, or RGBA where it has transparency.

        Raises:
            DatasetError: it has another number of channels than pictures have.
        """
        pixels = self.images[index]
        if pixels.ndim == 3 and pixels.shape[-1] not in PICTURE_CHANNELS:
            raise DatasetError(
                f"{self.name} holds arrays of {pixels.shape[-1]} channels, and the network takes "
                "pictures: give images of 1, 3 or 4 channels"
            )
        flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
        return to_pixels(Image.fromarray(np.ascontiguousarray(flat)))

    def label(self, index: int) -> int:
        """Return the class index of one image.

        Raises:
            DatasetError: there are no labels.
        """
        if self.labels is None:
            raise DatasetError(f"{self.name} has no labels")
        return int(self.labels[index])

    def part(self, indices: Sequence[int]) -> ArrayDataset:
        """Return the images ``indices``, which ascend, without their labels."""
        return ArrayDataset(
            name=self.name, images=self.images[list(indices)], numbers=tuple(indices)
        )

    def fingerprint(self) -> str:
        """Return the SHA-256 of pixels, labels and class names."""
        digest = hashlib.sha256()
        for array in (self.images, self.labels):
            if array is not None:
                digest.update(f"{array.shape}{array.dtype}".encode())
                digest.update(np.ascontiguousarray(array).data)
        digest.update("\n".join(self.classes).encode(errors="surrogatepass"))
        return digest.hexdigest()


def array_dataset(
    name: str, images: NDArray[Any], labels: NDArray[Any] | None, classes: Sequence[str] = ()
) -> ArrayDataset:
    """Return a checked dataset; ``name`` is also what errors call it.

    ``images`` has the layout of :class:`ArrayDataset`, or ``(N, C, H, W)``: of first and last axis
    the one that can be the channels of a picture is, else the shorter one. Without ``classes``,
    labels name themselves: ``0`` to the highest one.

    Raises:
        DatasetError: no images, another shape, counts that differ, or labels that are not a class.
    """
    if images.ndim == 4 and has_channels_first(images.shape):
        images = images.transpose(0, 2, 3, 1)
    check_shape(name, images)
    if len(images) == 0:
        raise DatasetError(f"{name} holds no images")
    if len(images) > _MOST_IMAGES:
        raise DatasetError(f"{name} holds {len(images)} images: {_MOST_IMAGES} are the most")
    if labels is None:
        return ArrayDataset(name=name, images=images)
    labels = _class_indices(name, labels, len(images))
    names = tuple(classes) or tuple(str(index) for index in range(int(labels.max()) + 1))
    if labels.max() >= len(names):
        raise DatasetError(f"{name} has a label {labels.max()} but only {len(names)} class names")
    return ArrayDataset(name=name, images=images, labels=labels, classes=names)


def check_shape(name: str, images: NDArray[Any]) -> None:
    """Refuse what can't be images by its shape; ``name`` is what the error calls it.

    Raises:
        DatasetError: it has other than three or four dimensions, or images of no pixels.
    """
    if images.ndim not in (3, 4) or 0 in images.shape[1:]:
        raise DatasetError(
            f"{name} holds an array of shape {list(images.shape)}: images are (N, H, W), "
            "(N, H, W, C) or (N, C, H, W)"
        )


def has_channels_first(shape: Sequence[int]) -> bool:
    """Whether images of ``shape``, four sizes, are ``(N, C, H, W)``."""
    first, last = shape[1], shape[-1]
    pictures = first in PICTURE_CHANNELS, last in PICTURE_CHANNELS
    return pictures[0] if pictures[0] != pictures[1] else not pictures[1] and first < last


def _class_indices(name: str, labels: NDArray[Any], count: int) -> NDArray[np.int64]:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iuf":
        raise DatasetError(
            f"{name} has labels of shape {list(labels.shape)} and type {labels.dtype}: give one "
            "class index per image"
        )
    if len(labels) != count:
        raise DatasetError(
            f"{name} has {count} images but {len(labels)} labels: they must be paired"
        )
    with np.errstate(invalid="ignore"):  # a NaN compares as false, and NumPy would tell it
        known = bool(np.all((labels >= 0) & (labels < _MOST_CLASSES)))
    whole = labels.astype(np.int64) if known else np.full(1, -1)
    if not known or not np.array_equal(whole, labels):
        raise DatasetError(f"{name} has labels that are not a class index (0, 1, 2, …)")
    return whole
