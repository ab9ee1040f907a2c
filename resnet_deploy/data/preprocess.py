"""From an image to the input tensor, number for number as torchvision evaluates.

Follows ``torchvision.transforms``: ``Resize`` on PIL images (antialiased), ``CenterCrop``,
``ToTensor`` and ``Normalize``, with their rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from resnet_deploy.data.formats import encode, input_shape
from resnet_deploy.errors import DatasetError, SpecError, UnsupportedGraphError
from resnet_deploy.spec import InputFormat, Preprocess

if TYPE_CHECKING:
    from resnet_deploy.artifact.onnx_file import Artifact

_FILTERS = {
    name: Image.Resampling[name.upper()] for name in ("nearest", "bilinear", "bicubic", "lanczos")
}

_MAX_PIXELS = 89_478_485
"""Resizing may not exceed what Pillow would call a decompression bomb: a 1x10000 strip."""


def prepare(image: Image.Image, spec: Preprocess) -> NDArray[Any]:
    """Return one RGB image as the input tensor that ``spec.format`` names, without a batch.

    That is ``(3, crop, crop)`` in float32, or uint8 in one of three orders; the whole image,
    ``(H, W, 3)`` in uint8, for a graph that resizes itself.

    Raises:
        SpecError: ``spec`` names an unknown interpolation, or a format that does not fit the size.
        DatasetError: the image is so elongated that resizing it would fill the memory.
    """
    if spec.resize_in_graph:
        return np.asarray(image, dtype=np.uint8)
    return encode(np.asarray(_crop(_resize(image, spec), spec.crop), dtype=np.uint8), spec)


def input_preprocess(artifact: Artifact) -> Preprocess:
    """Return how images become the input of ``artifact``.

    Raises:
        UnsupportedGraphError: the input is neither float32 ``(N, 3, H, W)`` nor bytes of pixels, or
            its size is not the one its card prepares images for.
    """
    spec, entry = artifact.preprocess, artifact.input
    expected = "float32" if spec.format is InputFormat.FLOAT_NCHW else "uint8"
    if entry.dtype != expected:
        raise UnsupportedGraphError(
            f"{artifact.path} takes {entry.dtype} input {entry.name!r} of shape "
            f"{list(entry.shape)}: images are fed as float32 (N, 3, H, W) or as uint8 "
            "(N, H, W, 3) or (N, 3, H, W), export the model with one of these"
        )
    wanted = (None, None, 3) if spec.resize_in_graph else input_shape(spec)
    found = entry.shape[1:]
    if any(size not in (None, want) for size, want in zip(found, wanted, strict=True)):
        width = found[-1]
        hint = " (is it NHWC? export it as NCHW)" if width in (1, 3) and expected[0] == "f" else ""
        raise UnsupportedGraphError(
            f"{artifact.path} takes images of shape {list(found)}, but images are prepared as "
            f"{list(wanted)}{hint}: export it again with three channels and a square, matching "
            "image size"
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
            f"an image of {width}x{height} pixels is too elongated to be resized: remove it"
        )
    size = (spec.resize, new_long) if width <= height else (new_long, spec.resize)
    if height - size[1] > max(2 * (width - size[0]), 0):
        # Pillow 13 resizes down first here, older ones across: the rounding would differ.
        image = image.resize((width, size[1]), _FILTERS[spec.interpolation])
    return image.resize(size, _FILTERS[spec.interpolation])


def _crop(image: Image.Image, size: int) -> Image.Image:
    """Keep the centre ``size`` x ``size`` pixels; a smaller image is framed in black."""
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
