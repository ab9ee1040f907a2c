"""From a picture to the input tensor, number for number as torchvision evaluates.

Follows ``torchvision.transforms``: ``Resize`` on PIL images (antialiased), ``CenterCrop``,
``ToTensor`` and ``Normalize``, with their rounding.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from resnet_deploy.errors import DatasetError, SpecError, UnsupportedGraphError
from resnet_deploy.spec import Preprocess

if TYPE_CHECKING:
    from resnet_deploy.artifact import Artifact

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

_MAX_PIXELS = 89_478_485
"""Resizing may not exceed what Pillow would call a decompression bomb: a 1x10000 strip."""


def prepare(image: Image.Image, spec: Preprocess) -> NDArray[np.float32]:
    """Return the input tensor ``(3, crop, crop)`` in float32 of an RGB picture.

    Raises:
        SpecError: ``spec`` names an unknown interpolation.
        DatasetError: the picture is so elongated that resizing it would fill the memory.
    """
    pixels = np.asarray(_crop(_resize(image, spec), spec.crop), dtype=np.float32)
    mean = np.array(spec.mean, dtype=np.float32)
    std = np.array(spec.std, dtype=np.float32)
    normal = (pixels / np.float32(255) - mean) / std
    return np.ascontiguousarray(normal.transpose(2, 0, 1))


def prepare_batch(images: Iterable[Image.Image], spec: Preprocess) -> NDArray[np.float32]:
    """Return the input tensor ``(N, 3, crop, crop)`` in float32 of N RGB pictures.

    Raises:
        SpecError, DatasetError: as :func:`prepare`; or there are no pictures.
    """
    tensors = [prepare(image, spec) for image in images]
    if not tensors:
        raise DatasetError("there are no images to prepare")
    return np.stack(tensors)


def input_preprocess(artifact: Artifact) -> Preprocess:
    """Return how pictures become the input of ``artifact``.

    Raises:
        UnsupportedGraphError: the input is not float32 ``(N, 3, H, W)``, or its size is not
            the one its card prepares pictures for.
    """
    spec, entry = artifact.preprocess, artifact.input
    if entry.dtype != "float32":
        raise UnsupportedGraphError(
            f"{artifact.path} takes {entry.dtype} input {entry.name!r}: pictures are fed as "
            "float32, export the model with float32 input"
        )
    channels, height, width = entry.shape[1:]
    if channels not in (None, 3):
        hint = " (is it NHWC? export it as NCHW)" if width in (1, 3) else ""
        raise UnsupportedGraphError(
            f"{artifact.path} takes {channels} channels, pictures have 3{hint}: use a model "
            "with input (N, 3, H, W)"
        )
    if (height or spec.crop, width or spec.crop) != (spec.crop, spec.crop):
        raise UnsupportedGraphError(
            f"{artifact.path} takes {height}x{width} pixels, but pictures are prepared as "
            f"{spec.crop}x{spec.crop}: export it again with a square, matching image size"
        )
    return spec


def _resize(image: Image.Image, spec: Preprocess) -> Image.Image:
    """Scale the shorter side to ``spec.resize``; the longer one is rounded down."""
    if spec.interpolation not in _FILTERS:
        raise SpecError(
            f"interpolation {spec.interpolation!r} is unknown: use {', '.join(_FILTERS)}"
        )
    width, height = image.size
    short, long = min(width, height), max(width, height)
    if short == spec.resize:
        return image
    new_long = int(spec.resize * long / short)
    if spec.resize * new_long > _MAX_PIXELS:
        raise DatasetError(
            f"a picture of {width}x{height} pixels is too elongated to be resized: remove it"
        )
    size = (spec.resize, new_long) if width <= height else (new_long, spec.resize)
    return image.resize(size, _FILTERS[spec.interpolation])


def _crop(image: Image.Image, size: int) -> Image.Image:
    """Keep the centre ``size`` x ``size`` pixels; a smaller picture is framed in black."""
    width, height = image.size
    if width < size or height < size:
        missing_x, missing_y = max(size - width, 0), max(size - height, 0)
        frame = Image.new("RGB", (width + missing_x, height + missing_y))
        frame.paste(image, (missing_x // 2, missing_y // 2))
        image, (width, height) = frame, frame.size
    # round() to even, as Python and so torchvision does: a rest of 1 pixel goes right/bottom.
    top, left = round((height - size) / 2.0), round((width - size) / 2.0)
    if (width, height) == (size, size):
        return image
    return image.crop((left, top, left + size, top + size))
