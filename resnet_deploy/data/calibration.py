"""The images that activation ranges are estimated from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from resnet_deploy.data.datasets import Data, Dataset, NamedDataset, opened
from resnet_deploy.data.loader import prepared_batches
from resnet_deploy.data.sampling import spread_sample
from resnet_deploy.data.synthetic import SyntheticDataset
from resnet_deploy.errors import DatasetError
from resnet_deploy.spec import InputContract

_BATCH_PIXELS = 2 * 224 * 224
"""Pixels per calibration batch: all activations of a batch are in memory at once, about 60 MB per
image of 224x224 for ResNet-50."""

_LARGEST_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class CalibrationImages:
    """A sample of a dataset; iterating gives batches as ``preprocess`` says.

    It can be iterated more than once, with the same batches each time; images are decoded anew,
    so that two batches at most are in memory. ``len()`` is the number of images.
    """

    dataset: Dataset
    indices: tuple[int, ...]
    preprocess: InputContract
    batch_size: int

    @property
    def name(self) -> str:
        """What to call the data in a card."""
        return self.dataset.name

    @property
    def synthetic(self) -> bool:
        """Whether the images are synthetic."""
        return isinstance(self.dataset, SyntheticDataset)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the dataset and of which images were taken."""
        text = f"{self.dataset.fingerprint()} {self.indices}"
        return hashlib.sha256(text.encode()).hexdigest()

    def content_key(self) -> str:
        """Return a SHA-256 that changes with what iterating gives: pixels and preprocessing.

        Unlike :meth:`fingerprint`, which is quick and goes by names and sizes, it reads the image
        files of a folder.

        Raises:
            DatasetError: an image file can't be read.
        """
        try:
            digest = hashlib.sha256(f"{self.fingerprint()} {self.preprocess}".encode())
        except OSError as error:
            raise DatasetError(f"cannot read image {error.filename}: {error.strerror}") from error
        if isinstance(self.dataset, NamedDataset):
            for index in self.indices:
                digest.update(self.dataset.content(index).encode())
        return digest.hexdigest()

    def after(self, images: int) -> CalibrationImages:
        """Return what is left without the first ``images``."""
        return replace(self, indices=self.indices[images:])

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        for batch in prepared_batches(
            self.dataset, self.indices, [self.preprocess], batch_size=self.batch_size
        ):
            yield batch.inputs[0]


def calibration_batch_size(spec: InputContract) -> int:
    """Return how many images of the size of ``spec`` are calibrated on at once."""
    return max(1, min(_LARGEST_BATCH, _BATCH_PIXELS // spec.pixels))


def calibration_images(
    data: Data,
    preprocess: InputContract,
    *,
    samples: int = 512,
    seed: int = 0,
    batch_size: int = 32,
) -> CalibrationImages:
    """Return ``samples`` images of ``data``, spread over all its classes.

    Labels are not needed. Training images are preferred, and a smaller dataset is taken whole.
    The same data and seed give the same images in the same order.

    Raises:
        DatasetError: the dataset can't be read, or ``samples`` is not positive; while iterating:
            an image can't be read.
    """
    if samples < 1:
        raise DatasetError(f"cannot calibrate on {samples} images: ask for at least one")
    dataset = opened(data, train=True)
    indices = spread_sample(dataset, samples, seed)
    return CalibrationImages(
        dataset=dataset, indices=indices, preprocess=preprocess, batch_size=batch_size
    )


def synthetic_calibration(
    preprocess: InputContract, *, samples: int = 512, seed: int = 0, batch_size: int = 32
) -> CalibrationImages:
    """Return synthetic images, for when there are no real ones; see ``data/synthetic.py``."""
    return CalibrationImages(
        dataset=SyntheticDataset(count=samples, image_size=preprocess.side, seed=seed),
        indices=tuple(range(samples)),
        preprocess=preprocess,
        batch_size=batch_size,
    )
