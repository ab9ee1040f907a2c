"""What a tensor's values look like, counted one batch at a time.

A :class:`Histogram` never stores activations. Its bins are 2^k wide, so two histograms of the
same tensor can always be merged exactly, whatever came first: the result does not depend on the
order of the images or on how they were split.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.errors import DatasetError

BINS = 8192
"""Bins over [-2^k, 2^k): at least eight for each of the 255 steps of u8, whatever the range."""

_HALF = BINS // 2

_SMALLEST_EXPONENT = -100
"""Below 2^-100 the bins per unit would overflow float32; such values count as next to zero."""


class Histogram:
    """Counts of one tensor's values over [-2^exponent, 2^exponent), extremes and zeros apart."""

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(BINS, np.int64)
        self.exponent: int | None = None
        self.zeros = 0
        self.low = math.inf
        self.high = -math.inf

    def add(
        self,
        values: NDArray[np.float32],
        name: str = "tensor",
        sample: NDArray[np.float32] | None = None,
    ) -> None:
        """Count ``values`` (any shape).

        Args:
            values: what the extremes are taken from.
            name: what an error calls them.
            sample: a part of ``values`` that stands for them in the bins; default all.

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
        flat = (values if sample is None else sample).reshape(-1)
        zeros = int(np.count_nonzero(flat == 0))
        self.zeros += zeros
        if low == high == 0:
            return
        # 2^exponent is above the largest magnitude, so that every value falls into a bin.
        _, exponent = math.frexp(max(-low, high))
        self._widen(max(exponent, _SMALLEST_EXPONENT))
        assert self.exponent is not None
        # Multiplying by a power of two is exact and floor agrees with halving, so a value falls
        # into the same bin whether it is counted before or after the histogram was widened.
        bins = flat * np.float32(math.ldexp(_HALF, -self.exponent))
        if low < 0:  # the cast cuts towards zero, which is the same for the others
            np.floor(bins, out=bins)
        codes = bins.astype(np.intp)
        codes += _HALF
        self.counts += np.bincount(codes, minlength=BINS)
        self.counts[_HALF] -= zeros

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

    @property
    def width(self) -> float:
        """The width of a bin; 1.0 while only zeros were counted."""
        return 1.0 if self.exponent is None else math.ldexp(1.0, self.exponent) / _HALF

    @property
    def centers(self) -> NDArray[np.float64]:
        """The middle of each bin."""
        return np.asarray((np.arange(BINS) - _HALF + 0.5) * self.width, np.float64)


def _coarsened(counts: NDArray[np.int64], doublings: int) -> NDArray[np.int64]:
    """Return ``counts`` over a range 2^doublings times as wide."""
    for _ in range(min(doublings, BINS.bit_length())):
        wider = np.zeros_like(counts)
        wider[_HALF // 2 : _HALF // 2 + _HALF] = counts.reshape(-1, 2).sum(axis=1)
        counts = wider
    return counts
