"""Synthetic images with the statistics of photos, for when there are no real ones.

Photos have a power spectrum near 1/f^2, smooth shading, edges of objects and colours that vary
less than brightness. These have, too: octaves of noise whose amplitude falls with frequency,
gradients and ellipses. Only integers, IEEE additions and multiplications are used, no FFT and
no sine, so that every machine makes the same bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from resnet_deploy.errors import DatasetError

Plane = NDArray[np.float32]

_OCTAVES = 7
_CHROMA_OCTAVES = 2
_ELLIPSES = 6
_DECAY = 0.6
_CONTRAST = 1.3
"""Makes the standard deviation that of photos, about 60 of 255; the ends are clipped."""


@dataclass(frozen=True, kw_only=True)
class SyntheticDataset:
    """``count`` unlabelled images, each made when it is asked for."""

    count: int
    image_size: int
    seed: int = 0
    name: str = "synthetic"
    classes: tuple[str, ...] = ()
    labelled: bool = False

    def __len__(self) -> int:
        return self.count

    def image(self, index: int) -> Image.Image:
        """Return one image in RGB."""
        return Image.fromarray(_image(self.image_size, self.seed, index))

    def label(self, index: int) -> int:
        """Raise DatasetError: what a synthetic image shows has no class."""
        raise DatasetError("synthetic images have no labels")

    def fingerprint(self) -> str:
        """Return the SHA-256 of what determines the images."""
        text = f"synthetic 1 {self.count} {self.image_size} {self.seed}"
        return hashlib.sha256(text.encode()).hexdigest()


def synthetic_images(count: int, image_size: int, seed: int) -> NDArray[np.uint8]:
    """Return ``count`` images ``(N, H, W, 3)`` in uint8, the same bytes on every machine.

    Image i depends on ``image_size``, ``seed`` and i only, not on ``count``.
    """
    images = np.empty((count, image_size, image_size, 3), dtype=np.uint8)
    for index in range(count):
        images[index] = _image(image_size, seed, index)
    return images


def _image(size: int, seed: int, index: int) -> NDArray[np.uint8]:
    random = _Random(seed, index)
    light = _noise(random, size, 1, _OCTAVES)
    colour = _noise(random, size, 3, _CHROMA_OCTAVES)
    planes = _stretched(light + colour * np.float32(0.35))
    # Dark and light images, dull and brilliant ones.
    middle, spread = random.floats(2)
    gain = np.float32(_CONTRAST) * (np.float32(0.5) + spread)
    offset = np.float32(0.35) + np.float32(0.25) * middle
    planes = (planes - np.float32(0.5)) * gain + offset
    for _ in range(_ELLIPSES):
        _draw_ellipse(planes, random)
    clipped = np.minimum(np.maximum(planes, np.float32(0)), np.float32(1)) * np.float32(255)
    rounded: NDArray[np.uint8] = (clipped + np.float32(0.5)).astype(np.uint8)
    return rounded.transpose(1, 2, 0)


class _Random:
    """Floats in [0, 1) from the raw stream of PCG64, which numpy keeps the same forever."""

    def __init__(self, seed: int, index: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence([seed % 2**64, index]))

    def floats(self, count: int) -> Plane:
        raw = np.asarray(self._bits.random_raw(count), dtype=np.uint64)
        return (raw >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)


def _noise(random: _Random, size: int, channels: int, octaves: int) -> Plane:
    """Sum ``octaves`` of value noise ``(C, H, W)``; each has half the wavelength of the last.

    The first octave, four corners, is a gradient over the whole image.
    """
    total = np.zeros((channels, size, size), dtype=np.float32)
    for octave in range(octaves):
        cells = min(1 << octave, size)
        lattice = random.floats(channels * (cells + 1) ** 2) - np.float32(0.5)
        grid = lattice.reshape(channels, cells + 1, cells + 1)
        total += _upsampled(grid, size) * np.float32(_DECAY**octave)
    return total


def _upsampled(grid: Plane, size: int) -> Plane:
    """Interpolate ``(C, n, n)`` bilinearly to ``(C, size, size)``, rows first."""
    cells = grid.shape[1] - 1
    position = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(cells / size)
    cell = np.minimum(position.astype(np.int64), cells - 1)
    part = position - cell.astype(np.float32)
    rows = grid[:, cell] + (grid[:, cell + 1] - grid[:, cell]) * part[:, None]
    left, right = rows[:, :, cell], rows[:, :, cell + 1]
    result: Plane = left + (right - left) * part
    return result


def _stretched(planes: Plane) -> Plane:
    """Scale to exactly [0, 1]."""
    low, high = planes.min(), planes.max()
    result: Plane = (planes - low) / (high - low)
    return result


def _draw_ellipse(planes: Plane, random: _Random) -> None:
    """Lay one ellipse of a single colour over the image; its texture stays."""
    size = planes.shape[1]
    x, y, width, height, *colour = random.floats(7)
    axis = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    across = (axis - x) / (width * np.float32(0.3) + np.float32(0.02))
    down = (axis - y) / (height * np.float32(0.3) + np.float32(0.02))
    inside = (across * across)[None, :] + (down * down)[:, None] < 1
    for plane, value in zip(planes, colour, strict=True):
        plane[inside] = value + (plane[inside] - np.float32(0.5)) * np.float32(0.4)
