"""What the tensors' values look like, counted one batch at a time.

A :class:`Histogram` never stores activations. Its bins are 2^k wide, so two histograms of the
same tensor can always be merged exactly: the result does not depend on the order of the images or
on how they were divided between processes. A range is chosen from it afterwards, by any method.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.arrays import Array
from resnet_deploy.errors import DatasetError

BINS = 8192
"""Bins over [-2^k, 2^k): at least eight for each of the 255 steps of u8, whatever the range."""

_HALF = BINS // 2

_SMALLEST_EXPONENT = -100
"""Below 2^-100 the bins per unit would overflow float32; such values count as next to zero."""

ENOUGH_VALUES = 32768
"""Values per image and tensor beyond which :func:`sample_rows` leaves rows out."""


@dataclass(eq=False)
class Histogram:
    """Counts of one tensor's values over [-2^exponent, 2^exponent), extremes and zeros apart."""

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))
    exponent: int | None = None
    zeros: int = 0
    low: float = math.inf
    high: float = -math.inf

    def add(
        self,
        values: NDArray[np.float32],
        name: str = "tensor",
        sample: NDArray[np.float32] | None = None,
    ) -> None:
        """Count ``values`` (any shape); in the bins ``sample``, a part of them, stands for all.

        Raises:
            DatasetError: they hold NaN or infinity; ``name`` is what it calls them.
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
        exponent = self._widen(max(exponent, _SMALLEST_EXPONENT))
        # Multiplying by a power of two is exact and floor agrees with halving, so a value falls
        # into the same bin whether it is counted before or after the histogram was widened.
        bins = flat * np.float32(math.ldexp(_HALF, -exponent))
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
        if other.exponent is not None:
            exponent = self._widen(other.exponent)
            self.counts += _coarsened(other.counts, exponent - other.exponent)

    def _widen(self, exponent: int) -> int:
        if self.exponent is None:
            self.exponent = exponent
        elif exponent > self.exponent:
            self.counts = _coarsened(self.counts, exponent - self.exponent)
            self.exponent = exponent
        return self.exponent

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


@dataclass
class ActivationHistograms:
    """Histograms by tensor name, over ``images`` images."""

    histograms: dict[str, Histogram] = field(default_factory=dict)
    images: int = 0

    @classmethod
    def of(cls, tensors: Sequence[str]) -> ActivationHistograms:
        """Return the histograms of no image at all."""
        return cls({name: Histogram() for name in tensors})

    def merge(self, other: ActivationHistograms) -> None:
        """Add what ``other`` has learned from other images about the same tensors."""
        for name, histogram in other.histograms.items():
            self.histograms[name].merge(histogram)
        self.images += other.images

    def to_bytes(self) -> bytes:
        """Return an ``.npz`` file that :meth:`from_bytes` reads."""
        histograms = self.histograms.values()
        stream = io.BytesIO()
        np.savez_compressed(
            stream,
            images=np.int64(self.images),
            names=np.array(list(self.histograms), np.str_),
            counts=np.array([each.counts for each in histograms], np.int64).reshape(-1, BINS),
            # NaN for a tensor that was always zero.
            exponents=np.array(
                [math.nan if each.exponent is None else each.exponent for each in histograms]
            ),
            zeros=np.array([each.zeros for each in histograms], np.int64),
            extremes=np.array([(each.low, each.high) for each in histograms]).reshape(-1, 2),
        )
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> ActivationHistograms:
        """Return what was written by :meth:`to_bytes`; nothing in ``data`` is executed.

        Raises:
            ValueError: ``data`` is something else, or damaged.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            names = [str(name) for name in arrays["names"]]
            return cls(_histograms(names, arrays), int(arrays["images"]))
        except Exception as error:  # a damaged archive can make zipfile raise almost anything
            raise ValueError(f"no histograms: {error}") from error


def _histograms(names: list[str], arrays: dict[str, Array]) -> dict[str, Histogram]:
    counts, exponents = arrays["counts"], arrays["exponents"]
    zeros, extremes = arrays["zeros"], arrays["extremes"]
    if counts.shape != (len(names), BINS) or counts.dtype != np.int64:
        raise ValueError(f"counts are {counts.shape} {counts.dtype}")
    return {
        name: Histogram(
            counts=np.array(counts[row], np.int64),
            exponent=None if math.isnan(exponents[row]) else int(exponents[row]),
            zeros=int(zeros[row]),
            low=float(extremes[row][0]),
            high=float(extremes[row][1]),
        )
        for row, name in enumerate(names)
    }


def sample_rows(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return every k-th row of ``values`` ``(N, C, H, W)``, or all when they are few.

    Images differ far more than the rows of one image do, so a part of each says as much about a
    tensor's distribution as all of it, in a fraction of the time. k depends on the shape alone,
    and has no common divisor with H, so that the borders of the image, where padding shows, are
    taken as often as its middle.
    """
    per_image = math.prod(values.shape[1:])
    if values.ndim < 3 or per_image <= ENOUGH_VALUES:
        return values
    stride = math.ceil(per_image / ENOUGH_VALUES)
    while math.gcd(stride, values.shape[-2]) > 1:
        stride += 1
    rows = values.reshape(len(values), -1, values.shape[-1])  # (N, C * H, W)
    return rows[:, ::stride]
