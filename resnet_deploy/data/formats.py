"""The same image in every input format: pixels to inputs, inputs to pixels, one input to another.

All formats hold whole grey levels in the end, so every way back and forth is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.arrays import Array
from resnet_deploy.errors import SpecError
from resnet_deploy.spec import InputFormat, Preprocess

Pixels = NDArray[np.uint8]

BLOCK = 2
"""Side of the blocks of pixels of ``uint8-s2d``."""


def encode(pixels: Pixels, spec: Preprocess) -> Array:
    """Return RGB ``pixels``, ``(H, W, 3)`` or ``(N, H, W, 3)``, in the format that ``spec`` names.

    Raises:
        SpecError: ``uint8-s2d`` and an odd height or width.
    """
    match spec.format:
        case InputFormat.FLOAT_NCHW:
            mean = np.array(spec.mean, dtype=np.float32)
            std = np.array(spec.std, dtype=np.float32)
            values = (pixels.astype(np.float32) / np.float32(255) - mean) / std
            return np.ascontiguousarray(np.moveaxis(values, -1, -3))
        case InputFormat.UINT8_NHWC:
            return np.ascontiguousarray(pixels)
        case InputFormat.UINT8_NCHW:
            return np.ascontiguousarray(np.moveaxis(pixels, -1, -3))
        case InputFormat.UINT8_S2D:
            return _to_blocks(pixels)


def pixels_of(inputs: Array, spec: Preprocess) -> Pixels:
    """Return the RGB pixels ``(N, H, W, 3)`` that the batch ``inputs`` was made from.

    A float input that never was an image is rounded to the nearest one.
    """
    match spec.format:
        case InputFormat.FLOAT_NCHW:
            mean, std = np.array(spec.mean), np.array(spec.std)
            levels = (inputs.transpose(0, 2, 3, 1) * std + mean) * 255
            return np.asarray(np.clip(np.rint(levels), 0, 255), np.uint8)
        case InputFormat.UINT8_NHWC:
            return np.asarray(inputs, np.uint8)
        case InputFormat.UINT8_NCHW:
            return inputs.transpose(0, 2, 3, 1)
        case InputFormat.UINT8_S2D:
            return _from_blocks(inputs)


def convert(inputs: Array, source: Preprocess, target: Preprocess) -> Array:
    """Return the batch ``inputs``, prepared as ``source`` says, in the format of ``target``."""
    if source.format is target.format:
        return inputs
    return encode(pixels_of(inputs, source), target)


def input_shape(spec: Preprocess) -> tuple[int, int, int]:
    """Return the shape of one image in the format of ``spec``."""
    size = spec.crop
    match spec.format:
        case InputFormat.FLOAT_NCHW | InputFormat.UINT8_NCHW:
            return 3, size, size
        case InputFormat.UINT8_NHWC:
            return size, size, 3
        case InputFormat.UINT8_S2D:
            return size // BLOCK, size // BLOCK, 3 * BLOCK**2


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
