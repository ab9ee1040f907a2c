"""From observed activations to a scale and a zero point, one batch at a time.

A :class:`Histogram` never stores activations. Its bins are 2^k wide, so two histograms of the
same tensor can always be merged exactly, whatever came first: the result does not depend on the
order of the images or on how they were split.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.errors import DatasetError
from resnet_deploy.spec import CalibrationMethod

BINS = 8192
"""Bins over [-2^k, 2^k): at least eight for each of the 255 steps of u8, whatever the range."""

_HALF = BINS // 2
_CLIP_CANDIDATES = np.linspace(1.0, 0.2, 81)


@dataclass(frozen=True)
class Range:
    """The real numbers from ``low`` <= 0 to ``high`` >= 0 that u8 codes 0 to 255 stand for."""

    low: float
    high: float

    @property
    def scale(self) -> np.float32:
        """The step between two codes."""
        step = (self.high - self.low) / 255
        # A tensor that is always zero still needs a scale that kernels can divide by.
        return np.float32(step) if step > np.finfo(np.float32).tiny * 255 else np.float32(1.0)

    @property
    def zero_point(self) -> np.uint8:
        """The code of exactly 0.0."""
        return np.uint8(min(255, max(0, round(-self.low / float(self.scale)))))


class Histogram:
    """Counts of one tensor's values over [-2^exponent, 2^exponent), extremes and zeros apart."""

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(BINS, np.int64)
        self.exponent: int | None = None
        self.zeros = 0
        self.low = math.inf
        self.high = -math.inf

    def add(self, values: NDArray[np.float32], name: str = "tensor") -> None:
        """Count ``values`` (any shape).

        Raises:
            DatasetError: they hold NaN or infinity.
        """
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise DatasetError(
                f"activation {name} is NaN or infinite on a calibration image: check the "
                "images and the weights"
            )
        self.low, self.high = min(self.low, low), max(self.high, high)
        flat = values.reshape(-1)
        nonzero = int(np.count_nonzero(flat))
        self.zeros += flat.size - nonzero
        if nonzero == 0:
            return
        # 2^exponent is above the largest magnitude, so that every value falls into a bin.
        _, exponent = math.frexp(max(-low, high))
        self._widen(exponent)
        assert self.exponent is not None
        step = np.float32(math.ldexp(_HALF, -self.exponent))
        # Multiplying by a power of two is exact and floor agrees with halving, so a value falls
        # into the same bin whether it is counted before or after the histogram was widened.
        bins = np.floor(flat * step).astype(np.int32)
        bins += _HALF
        self.counts += np.bincount(bins, minlength=BINS)
        self.counts[_HALF] -= flat.size - nonzero

    def merge(self, other: Histogram) -> None:
        """Add everything that ``other`` has counted."""
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.zeros += other.zeros
        if other.exponent is None:
            return
        self._widen(other.exponent)
        assert self.exponent is not None
        self.counts += _coarsened(other.counts, self.exponent - other.exponent)

    def _widen(self, exponent: int) -> None:
        if self.exponent is None:
            self.exponent = exponent
        elif exponent > self.exponent:
            self.counts = _coarsened(self.counts, exponent - self.exponent)
            self.exponent = exponent

    def choose(self, method: CalibrationMethod) -> Range:
        """Return the range that ``method`` picks from what was counted.

        Raises:
            DatasetError: nothing was counted.
        """
        if self.low > self.high:
            raise DatasetError("no calibration image was run: give at least one")
        low, high = min(self.low, 0.0), max(self.high, 0.0)
        if method is CalibrationMethod.MINMAX or self.exponent is None:
            return Range(low, high)
        return self._least_error(low, high)

    def _least_error(self, low: float, high: float) -> Range:
        """Return the range of least mean squared error, clipping both ends alike, then each."""
        best_high = _best(high, lambda clipped: self._error(low, clipped))
        best_low = _best(low, lambda clipped: self._error(clipped, best_high))
        best_high = _best(high, lambda clipped: self._error(best_low, clipped))
        return Range(best_low, best_high)

    def _error(self, low: float, high: float) -> float:
        """Return the sum of squared errors of u8 over [low, high].

        Inside, the error is uniform over a step: variance step^2 / 12. Outside it is the distance
        to the end. Zeros are exact and do not count.
        """
        assert self.exponent is not None
        width = math.ldexp(1.0, self.exponent) / _HALF
        centers = (np.arange(BINS) - _HALF + 0.5) * width
        step = (high - low) / 255
        outside = np.maximum(low - centers, 0) + np.maximum(centers - high, 0)
        error = np.where(outside > 0, outside**2, step**2 / 12)
        return float((self.counts * error).sum())


def _best(end: float, error: object) -> float:
    """Return ``end`` times the candidate with the least error; 0 stays 0."""
    if end == 0:
        return 0.0
    assert callable(error)
    return min((end * float(share) for share in _CLIP_CANDIDATES), key=error)


def _coarsened(counts: NDArray[np.int64], doublings: int) -> NDArray[np.int64]:
    """Return ``counts`` over a range 2^doublings times as wide."""
    for _ in range(min(doublings, BINS.bit_length())):
        wider = np.zeros_like(counts)
        wider[_HALF // 2 : _HALF // 2 + _HALF] = counts.reshape(-1, 2).sum(axis=1)
        counts = wider
    return counts
