"""The same image in every input format: pixels to inputs, inputs to pixels, one input to another.

All formats hold whole grey levels in the end, so every way back and forth is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.arrays import Array
from resnet_deploy.errors import SpecError
from resnet_deploy.spec import BLOCK, ChannelOrder, InputContract, InputFormat

Pixels = NDArray[np.uint8]


_LUMA = np.array([19595, 38470, 7471], np.uint32)
"""ITU-R 601-2 in 16-bit fractions, as Pillow converts to L."""


def grey(pixels: Pixels) -> Pixels:
    """Return RGB ``pixels`` ``(..., 3)`` as grey ones ``(..., 1)``, as Pillow's L."""
    sums = pixels.astype(np.uint32) @ _LUMA + np.uint32(1 << 15)
    return (sums >> 16).astype(np.uint8)[..., None]


def encode(pixels: Pixels, spec: InputContract) -> Array:
    """Return ``pixels``, ``(H, W, C)`` or ``(N, H, W, C)``, as the input that ``spec`` names.

    They are RGB, grey or RGBA as ``spec`` wants them; RGB becomes grey, and opaque RGBA.

    Raises:
        SpecError: ``uint8-s2d`` and an odd height or width.
    """
    if spec.channel_order is ChannelOrder.GREY and pixels.shape[-1] > 1:
        pixels = grey(pixels)
    elif spec.channel_order is ChannelOrder.RGBA and pixels.shape[-1] == 3:
        pixels = np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], -1)
    elif spec.channel_order is ChannelOrder.BGR:
        pixels = pixels[..., ::-1]
    match spec.format:
        case InputFormat.FLOAT_NCHW | InputFormat.FLOAT_NHWC:
            values = pixels.astype(np.float32) / np.float32(spec.divisor)
            if spec.range[0]:
                values += np.float32(spec.range[0])
            mean = np.array(spec.mean, dtype=np.float32)
            std = np.array(spec.std, dtype=np.float32)
            values = (values - mean) / std
            if spec.format is InputFormat.FLOAT_NHWC:
                return values
            return np.ascontiguousarray(np.moveaxis(values, -1, -3))
        case InputFormat.UINT8_NHWC:
            return np.ascontiguousarray(pixels)
        case InputFormat.UINT8_NCHW:
            return np.ascontiguousarray(np.moveaxis(pixels, -1, -3))
        case InputFormat.UINT8_S2D:
            return _to_blocks(pixels)


def pixels_of(inputs: Array, spec: InputContract) -> Pixels:
    """Return the pixels ``(N, H, W, C)``, in RGB, grey or RGBA, that ``inputs`` were made from.

    A float input that never was an image is rounded to the nearest one.
    """
    match spec.format:
        case InputFormat.FLOAT_NCHW | InputFormat.FLOAT_NHWC:
            last = spec.format is InputFormat.FLOAT_NHWC
            values = inputs if last else inputs.transpose(0, 2, 3, 1)
            mean, std = np.array(spec.mean), np.array(spec.std)
            levels = (values * std + mean - spec.range[0]) * spec.divisor
            pixels = np.asarray(np.clip(np.rint(levels), 0, 255), np.uint8)
        case InputFormat.UINT8_NHWC:
            pixels = np.asarray(inputs, np.uint8)
        case InputFormat.UINT8_NCHW:
            pixels = inputs.transpose(0, 2, 3, 1)
        case InputFormat.UINT8_S2D:
            pixels = _from_blocks(inputs)
    return pixels[..., ::-1] if spec.channel_order is ChannelOrder.BGR else pixels


def convert(inputs: Array, source: InputContract, target: InputContract) -> Array:
    """Return the batch ``inputs``, prepared as ``source`` says, as ``target`` wants it.

    The two are of one size.
    """
    if _encoding(source) == _encoding(target):
        return inputs
    return encode(pixels_of(inputs, source), target)


def _encoding(spec: InputContract) -> tuple[object, ...]:
    """Return what :func:`encode` depends on."""
    return spec.format, spec.channel_order, spec.range, spec.mean, spec.std


def _to_blocks(pixels: Pixels) -> Pixels:
    *batch, height, width, channels = pixels.shape
    if height % BLOCK or width % BLOCK:
        raise SpecError(
            f"uint8-s2d needs an even image size, not {height}x{width}: use --input uint8-nhwc"
        )
    rows, columns = height // BLOCK, width // BLOCK
    split = pixels.reshape(*batch, rows, BLOCK, columns, BLOCK * channels)
    blocks = np.swapaxes(split, -3, -2)
    return np.ascontiguousarray(blocks.reshape(*batch, rows, columns, BLOCK**2 * channels))


def _from_blocks(blocks: Pixels) -> Pixels:
    batch, rows, columns, depth = blocks.shape
    channels = depth // BLOCK**2
    split = blocks.reshape(batch, rows, columns, BLOCK, BLOCK * channels)
    return split.swapaxes(2, 3).reshape(batch, rows * BLOCK, columns * BLOCK, channels)
