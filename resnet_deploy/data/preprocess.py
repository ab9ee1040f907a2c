"""From an image to the input tensor, number for number as torchvision evaluates.

Follows ``torchvision.transforms``: ``Resize`` on PIL images (antialiased), ``CenterCrop``,
``ToTensor`` and ``Normalize``, with their rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from resnet_deploy.data.formats import encode
from resnet_deploy.data.images import MAX_PIXELS, to_rgb
from resnet_deploy.errors import DatasetError, SpecError, UnsupportedGraphError
from resnet_deploy.spec import ChannelOrder, InputContract, ResizeMode
from resnet_deploy.spec.input_words import INTERPOLATIONS

if TYPE_CHECKING:
    from resnet_deploy.artifact.artifact import Artifact

_FLOATS = ("float32", "float16", "float64", "bfloat16")
"""Types of inputs that images are made for in float32: runners convert it."""

_FILTERS = {name: Image.Resampling[name.upper()] for name in INTERPOLATIONS}


def prepare(image: Image.Image, spec: InputContract) -> NDArray[Any]:
    """Return one RGB or RGBA image as the input tensor that ``spec.format`` names, without a batch.

    That is float32 or uint8 in the shape of :func:`~resnet_deploy.data.formats.input_shape`; the
    whole image, ``(H, W, C)`` in uint8, for a graph that resizes itself. A grey input is made of
    grey pixels from the start, as Pillow's L.

    Transparent pixels are laid on white, except for an input of RGBA, whose border is transparent.

    Raises:
        SpecError: ``spec`` names a format that does not fit the size, or bands.
        DatasetError: the image has more than :data:`~resnet_deploy.data.images.MAX_PIXELS`, or is
            so elongated that it would have them when it is resized.
    """
    if spec.channel_order is ChannelOrder.BANDS:
        raise SpecError(
            f"the network takes {spec.channels} bands, and a picture has no such channels: give "
            "arrays in an .npz or .npy file to evaluate or quantize"
        )
    if image.width * image.height > MAX_PIXELS:
        raise DatasetError(
            f"an image of {image.width}x{image.height} has more than {MAX_PIXELS:,} pixels: "
            "make it smaller"
        )
    image = in_channels_of(image, spec.channel_order)
    if not spec.resize_in_graph:
        image = _crop(_resize(image, spec), spec.height, spec.width)
    pixels = np.asarray(image, dtype=np.uint8).reshape(image.height, image.width, -1)
    if spec.resize_in_graph:
        return pixels[..., ::-1] if spec.channel_order is ChannelOrder.BGR else pixels
    return encode(pixels, spec)


def in_channels_of(image: Image.Image, order: ChannelOrder) -> Image.Image:
    """Return an RGB or RGBA image in mode L, RGB or RGBA, as an input of this order is made of."""
    if order is ChannelOrder.RGBA:
        return image.convert("RGBA")
    return to_rgb(image).convert("L" if order is ChannelOrder.GREY else "RGB")


def input_preprocess(artifact: Artifact) -> InputContract:
    """Return how images become the input of ``artifact``.

    Raises:
        UnsupportedGraphError: the input is neither float32 nor bytes of pixels, or its shape is not
            the one that its contract prepares images for.
    """
    spec, entry = artifact.preprocess, artifact.input
    expected = _FLOATS if spec.format.is_float else ("uint8",)
    if entry.dtype not in expected:
        raise UnsupportedGraphError(
            f"{artifact.path} takes {entry.dtype} input {entry.name!r} of shape "
            f"{list(entry.shape)}: images are fed as float32 or uint8, (N, C, H, W) or "
            "(N, H, W, C), export the model with one of these"
        )
    wanted = (None, None, spec.channels) if spec.resize_in_graph else spec.shape
    found = entry.shape[1:]
    if any(size not in (None, want) for size, want in zip(found, wanted, strict=True)):
        raise UnsupportedGraphError(
            f"{artifact.path} takes images of shape {list(found)}, but images are prepared as "
            f"{list(wanted)} ({spec.channel_order.value}): say --layout, --channel-order and "
            "--image-size as the file has them"
        )
    return spec


def _resize(image: Image.Image, spec: InputContract) -> Image.Image:
    """Return the image in the size that ``spec.resize_mode`` makes of ``spec.resize``."""
    width, height = image.size
    rows, columns = spec.resize
    if spec.resize_mode is ResizeMode.SQUASH:
        size = (columns, rows)
    else:
        # Of a square area that is covered, the shorter side has its size.
        by_height = rows * width >= columns * height
        if spec.resize_mode is ResizeMode.PAD:
            by_height = rows * width <= columns * height
            size = (
                (max(_rounded(rows * width, height), 1), rows)
                if by_height
                else (columns, max(_rounded(columns * height, width), 1))
            )
        elif by_height:  # rounded down, as torchvision does
            size = (int(rows * width / height), rows)
        else:
            size = (columns, int(columns * height / width))
    if size[0] * size[1] > MAX_PIXELS:
        raise DatasetError(
            f"an image of {width}x{height} pixels is too elongated to be resized: remove it"
        )
    filter_ = _FILTERS[spec.interpolation]
    if size != (width, height):
        if height - size[1] > max(2 * (width - size[0]), 0):
            # Pillow 13 resizes down first here, older ones across: the rounding would differ.
            image = image.resize((width, size[1]), filter_)
        image = image.resize(size, filter_)
    return _framed(image, rows, columns) if spec.resize_mode is ResizeMode.PAD else image


def _rounded(numerator: int, denominator: int) -> int:
    """Return the nearest whole number; a half goes up, whatever the language."""
    return (2 * numerator + denominator) // (2 * denominator)


def _framed(image: Image.Image, height: int, width: int) -> Image.Image:
    """Put the image in the middle of a black one that is at least as large."""
    size = (max(width, image.width), max(height, image.height))
    if size == image.size:
        return image
    frame = Image.new(image.mode, size)
    frame.paste(image, ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
    return frame


def _crop(image: Image.Image, height: int, width: int) -> Image.Image:
    """Keep the pixels of the centre; a smaller image is framed in black."""
    image = _framed(image, height, width)
    if image.size == (width, height):
        return image
    # round() to even, as Python and so torchvision does: a rest of 1 pixel goes right/bottom.
    top, left = round((image.height - height) / 2.0), round((image.width - width) / 2.0)
    return image.crop((left, top, left + width, top + height))
