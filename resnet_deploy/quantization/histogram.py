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
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.arrays import Array
from resnet_deploy.data.npy import NpzFile
from resnet_deploy.errors import DatasetError

BINS = 8192
"""Bins over [-2^k, 2^k): at least eight for each of the 255 steps of u8, whatever the range."""

_HALF = BINS // 2

_LARGEST = float(np.finfo(np.float32).max)
_SMALLEST_EXPONENT = -100
"""Below 2^-100 the bins per unit would overflow float32; such values count as next to zero."""

_LARGEST_EXPONENT = 128
"""Of float32."""

ENOUGH_VALUES = 32768
"""Values per image and tensor beyond which :func:`sample_rows` leaves rows out."""


_AS_FILE = Path("histograms.npz")
_HEADER = 1024
"""Bytes in front of an array's values."""

_MOST_TENSORS = 8192
_MOST_NAMES = 16 << 20
"""Bytes of their names; the largest nets have some hundred, of some dozen letters."""


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
            with NpzFile(_AS_FILE, data) as file:
                names = [str(name) for name in _stored(file, "names", _MOST_NAMES)]
                if len(names) > _MOST_TENSORS or len(set(names)) < len(names):
                    raise ValueError(f"{len(names)} tensors, or two of one name")
                images = int(_stored(file, "images", _HEADER))
                return cls(_histograms(names, file), images)
        except Exception as error:  # whatever NumPy makes of arrays of other shapes
            raise ValueError(f"no histograms: {error}") from error


def _stored(file: NpzFile, name: str, most: int) -> Array:
    found = file.first((name,), most)
    if found is None:
        raise ValueError(f"there is no array {name!r}")
    return found


def _histograms(names: list[str], file: NpzFile) -> dict[str, Histogram]:
    counts, exponents, zeros, extremes = (
        _stored(file, name, _HEADER + 8 * values * len(names))
        for name, values in (("counts", BINS), ("exponents", 1), ("zeros", 1), ("extremes", 2))
    )
    if counts.shape != (len(names), BINS) or counts.dtype != np.int64:
        raise ValueError(f"counts are {counts.shape} {counts.dtype}")
    if min(counts.min(initial=0), zeros.min(initial=0)) < 0:
        raise ValueError("counts below zero")
    if not all(math.isnan(k) or _SMALLEST_EXPONENT <= k <= _LARGEST_EXPONENT for k in exponents):
        raise ValueError("bins that no float32 falls into")
    for low, high in extremes:
        nothing_counted = low == math.inf and high == -math.inf
        if not (nothing_counted or -_LARGEST <= low <= high <= _LARGEST):
            raise ValueError("a lowest and a highest value that are not float32")
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
