"""Channels with pairs of codes that could overflow, brought under their limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.arrays import Array
from resnet_deploy.quantization.rounding import (
    LARGEST_CODE,
    Nearest,
    PairLimits,
    Rounder,
    usable,
)

_WIDER = 16
"""Scales tried for a channel with pairs beyond their limits, up to that which limits none.

One more is that of seven bits, so that no channel fares worse than with the usual remedy.
"""

_DEEP = 600
_FEW = 3
"""Weights per channel above which few of these scales are tried with weights rounded together:
those of least error with each rounded alone.
"""

_COARSE = 3
"""Of the scales of a layer that is so deep, with each weight rounded alone, every third is tried
first, and then those beside the best of them: nine of 17. The error falls until clipped and limited
weights matter less than the width of the steps, and rises from there, the more smoothly the more
weights there are, so that little is missed: less than 1 % of the square error where weights are
normally distributed.
"""

_VALUES_AT_ONCE = 2**22
"""Weights in work at a time, 32 MB each of a few arrays."""


def keep_within(
    limits: PairLimits,
    w: Array,
    scale: NDArray[np.float32],
    codes: Array,
    rounders: Sequence[Rounder],
) -> None:
    """Bring the channels of ``w`` ``(O, K)`` with pairs beyond ``limits`` under them, in place.

    Each gets the scale at which the output changes least: from ``scale``, where pairs have to give
    way, to the larger one where none has to.
    """
    safe = np.maximum(scale, limits.safe_scale(w))
    seven_bits = np.maximum(scale, 2 * np.abs(w).max(axis=1) / (LARGEST_CODE - 1))
    beyond = np.split(limits.exceeded(codes), len(rounders))
    for group, (rounder, bad) in enumerate(zip(rounders, beyond, strict=True)):
        rows = np.flatnonzero(bad) + group * len(bad)
        if not len(rows):
            continue
        wider = np.linspace(scale[rows].astype(np.float64), safe[rows], _WIDER)
        scales = usable(np.concatenate([wider, seven_bits[None, rows]]))
        if rounder is rounder.alone or w.shape[1] > _DEEP:
            errors = _errors_near_the_least(rounder.alone, w[rows], scales, limits)
            few = 1 if rounder is rounder.alone else _FEW
            best = np.argsort(errors, axis=0, kind="stable")[:few]
            scales = np.take_along_axis(scales, best, axis=0)
        if len(scales) == 1:
            scale[rows] = scales[0]
            codes[rows] = rounder.codes(w[rows] / scale[rows].astype(np.float64)[:, None], limits)
            continue
        least = np.full(len(rows), np.inf)
        # Many at once, as far as memory goes: what is done weight by weight then pays.
        for part in np.array_split(scales, -(-scales.size * w.shape[1] // _VALUES_AT_ONCE)):
            for tried, found, error in _tried(w[rows], part, rounder, limits):
                better = error < least
                least[better] = error[better]
                scale[rows[better]] = tried[better]
                codes[rows[better]] = found[better]


def _errors_near_the_least(alone: Nearest, w: Array, scales: Array, limits: PairLimits) -> Array:
    """Return the errors ``(tries, O)`` at ``scales`` near the best; infinite where none is tried.

    All but the last of ``scales`` ``(tries, O)`` ascend.
    """
    if w.shape[1] <= _DEEP:
        return alone.errors(w, scales, limits)
    found = np.full(scales.shape, np.inf)
    last = len(scales) - 2
    coarse = [*range(0, last + 1, _COARSE), last + 1]
    found[coarse] = alone.errors(w, scales[coarse], limits)
    best = np.argmin(found[:-1], axis=0)
    beside = np.clip(best + np.array([[-1], [1]]), 0, last)
    errors = alone.errors(w, np.take_along_axis(scales, beside, axis=0), limits)
    np.put_along_axis(found, beside, errors, axis=0)
    return found


def _tried(
    w: Array, scales: Array, rounder: Rounder, limits: PairLimits
) -> Iterator[tuple[Array, Array, Array]]:
    """Yield of ``scales`` ``(tries, O)`` each, the codes of ``w`` ``(O, K)``, and the errors."""
    steps = (w / scales.astype(np.float64)[..., None]).reshape(-1, w.shape[1])
    found = rounder.codes(steps, limits)
    error = rounder.error(steps, found).reshape(scales.shape) * scales.astype(np.float64) ** 2
    yield from zip(scales, found.reshape(*scales.shape, -1), error, strict=True)
