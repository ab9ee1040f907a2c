"""Inputs of any number of channels: arrays, as no picture file holds them.

Bytes are normalised as the input contract says. Floats are what the network takes: whoever stored
them has normalised them. Nothing is resized; synthetic bands are made in the right size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.data.arrays import ArrayDataset
from resnet_deploy.data.datasets import Dataset
from resnet_deploy.data.formats import encode
from resnet_deploy.data.synthetic import SyntheticDataset
from resnet_deploy.errors import DatasetError
from resnet_deploy.spec import InputContract


def prepare_bands(dataset: Dataset, index: int, spec: InputContract) -> NDArray[Any]:
    """Return one input of a network of ``spec.channels`` bands, without a batch.

    Raises:
        DatasetError: ``dataset`` holds pictures, or arrays of another shape.
    """
    wanted = (spec.height, spec.width, spec.channels)
    if isinstance(dataset, SyntheticDataset):
        return encode(_synthetic(dataset, index, wanted), spec)
    if not isinstance(dataset, ArrayDataset):
        raise DatasetError(
            f"{dataset.name} holds pictures, and the network takes {spec.channels} bands: give an "
            f".npz or .npy file of arrays (N, {', '.join(map(str, wanted))})"
        )
    pixels = dataset.images[index]
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape != wanted:
        raise DatasetError(
            f"{dataset.name} holds arrays of shape {list(pixels.shape)}, and the network takes "
            f"{list(wanted)} (height, width, bands): bands are not resized"
        )
    if pixels.dtype == np.uint8:
        return encode(pixels, spec)
    if not spec.format.is_float:
        raise DatasetError(
            f"{dataset.name} holds {pixels.dtype}, and the file takes bytes: give uint8 arrays"
        )
    values = pixels if spec.format.channels_last else np.moveaxis(pixels, -1, 0)
    return np.ascontiguousarray(values, np.float32)


def _synthetic(dataset: SyntheticDataset, index: int, shape: tuple[int, int, int]) -> NDArray[Any]:
    """Return the channels of as many synthetic images as it takes, cut to size."""
    height, width, channels = shape
    parts = [
        np.asarray(dataset.image(index + part * len(dataset)))[:height, :width]
        for part in range(-(-channels // 3))
    ]
    return np.concatenate(parts, axis=-1)[..., :channels]
