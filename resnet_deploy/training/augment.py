"""What chance does to training images: their order, crops, mirroring and mixing.

Every draw is a function of the seed, the epoch and the position in the epoch, so that neither the
step a run resumes at nor the number of threads or processes changes an image. ``RandomState`` is
used as its streams are the same in every numpy version, which ``Generator`` does not promise.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.spec.training import Augment, Recipe

Floats = NDArray[np.float32]

_MIRRORING = (Augment.CROP_FLIP, Augment.RESIZED_CROP)
_SHIFTING = (Augment.CROP_FLIP, Augment.CROP)

_AREA = (0.08, 1.0)
_RATIO = (3 / 4, 4 / 3)
_TRIES = 10


class _Stream(enum.IntEnum):
    """A stream of its own for each purpose: an option changes nothing but what it is about."""

    ORDER = 0
    SHIFTS = 1
    FLIPS = 2
    MIXES = 3
    BOXES = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class EpochPlan:
    """All draws of one epoch, by position.

    Args:
        seed: of the run.
        epoch: counted from 0.
        order: which image is at each position, int64 ``(N,)``.
        shifts: rows and columns, 0 to ``2 * pad``, at which the crop begins, int64 ``(N, 2)``; None
            is no crop.
        flips: which images are mirrored, bool ``(N,)``; None is none of them.
        mixes: per step, what of an image remains when another one is mixed in; None is no mixing.
    """

    seed: int
    epoch: int
    order: NDArray[np.int64]
    shifts: NDArray[np.int64] | None
    flips: NDArray[np.bool_] | None
    mixes: NDArray[np.float64] | None


def plan_epoch(count: int, recipe: Recipe, *, seed: int, epoch: int) -> EpochPlan:
    """Draw everything that is random in one epoch over ``count`` images."""
    shifts, flips, mixes = None, None, None
    if recipe.augment in _SHIFTING:
        draws = _stream(_Stream.SHIFTS, seed, epoch)
        shifts = draws.randint(0, 2 * recipe.pad + 1, size=(count, 2), dtype=np.int64)
    if recipe.augment in _MIRRORING:
        flips = _stream(_Stream.FLIPS, seed, epoch).randint(0, 2, size=count, dtype=np.bool_)
    if recipe.mixup > 0:
        steps = count // recipe.batch_size
        mixes = _stream(_Stream.MIXES, seed, epoch).beta(recipe.mixup, recipe.mixup, size=steps)
    order = _stream(_Stream.ORDER, seed, epoch).permutation(count).astype(np.int64)
    return EpochPlan(seed=seed, epoch=epoch, order=order, shifts=shifts, flips=flips, mixes=mixes)


def crop_box(plan: EpochPlan, position: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the left, top, right and bottom of what ``resized-crop`` keeps of an image.

    Ten times an area (8 to 100 %) and an aspect ratio (3/4 to 4/3, evenly on a log scale) are
    drawn, as in torchvision's ``RandomResizedCrop``; if none fits, the largest centre crop whose
    ratio is allowed is taken.

    Args:
        plan: the draws of the epoch.
        position: in the order of the epoch.
        size: width and height of the image, in pixels.
    """
    draws = _stream(_Stream.BOXES, plan.seed, plan.epoch, position)
    width, height = size
    for _ in range(_TRIES):
        area = width * height * draws.uniform(*_AREA)
        ratio = math.exp(draws.uniform(math.log(_RATIO[0]), math.log(_RATIO[1])))
        across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < across <= width and 0 < down <= height:
            top = int(draws.randint(0, height - down + 1))
            left = int(draws.randint(0, width - across + 1))
            return left, top, left + across, top + down
    across = max(1, min(width, round(height * _RATIO[1])))
    down = max(1, min(height, round(width / _RATIO[0])))
    left, top = (width - across) // 2, (height - down) // 2
    return left, top, left + across, top + down


def shifted(values: Floats, shifts: NDArray[np.int64], pad: int) -> Floats:
    """Return each image padded by ``pad`` on every side and cropped where ``shifts`` says.

    The padding is 0. He et al. (section 4.2) subtract the mean before they pad, so theirs is the
    mean colour; that of ``values``, which are normalised, is 0 as well.

    Args:
        values: ``(N, S, S, C)``.
        shifts: row and column at which each crop begins, ``(N, 2)``.
        pad: pixels.
    """
    count, height, width, channels = values.shape
    padded = np.zeros((count, height + 2 * pad, width + 2 * pad, channels), dtype=np.float32)
    padded[:, pad : pad + height, pad : pad + width] = values
    # Rows are contiguous: a window is its rows, each one run of width * channels numbers.
    rows = padded.reshape(count, height + 2 * pad, -1)
    windows = np.lib.stride_tricks.sliding_window_view(rows, (height, width * channels), (1, 2))
    chosen: Floats = windows[np.arange(count), shifts[:, 0], shifts[:, 1] * channels]
    return chosen.reshape(values.shape)


def mirrored(values: Floats, flips: NDArray[np.bool_]) -> Floats:
    """Return ``values`` ``(N, S, S, C)``, those that ``flips`` says with left and right swapped."""
    result = values.copy()
    result[flips] = values[flips, :, ::-1]
    return result


def neighbours(count: int) -> NDArray[np.int64]:
    """Return the partner of each of ``count`` positions, an even number: 2i and 2i + 1 swap."""
    return np.arange(count, dtype=np.int64) ^ 1


def mixed(values: Floats, mix: float) -> Floats:
    """Return ``mix`` of each image and ``1 - mix`` of its neighbour (arXiv:1710.09412)."""
    partners = values[neighbours(len(values))]
    return np.float32(mix) * values + np.float32(1 - mix) * partners


def _stream(purpose: _Stream, *key: int) -> np.random.RandomState:
    entropy = [int(purpose), *(part % 2**64 for part in key)]
    return np.random.RandomState(np.random.Philox(np.random.SeedSequence(entropy)))
