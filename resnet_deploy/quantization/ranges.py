"""From a histogram to a scale and a zero point.

Every method returns a range that holds zero, because zeros (padding, ReLU) must stay exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.arrays import Array
from resnet_deploy.errors import DatasetError
from resnet_deploy.quantization.histogram import BINS, Histogram
from resnet_deploy.quantization.responses import Response
from resnet_deploy.spec import CalibrationMethod

_PERCENTILE = 0.99999
"""Share of all values inside the range, per side; ONNX Runtime's default is the same."""

_CLIPPED = 2.0
"""Weight of a clipped value's squared error over a rounded one's.

Rounding errors have no sign of their own and average out over pixels and channels; clipping errors
all point to zero and add up. Measured on the logits of ResNet-20 and -32: 2 and 3 are best, with
0.1 to 0.2 dB more than 1, and 8 is worse again.
"""

_SHARES = np.linspace(1.0, 0.2, 81)
"""How much of an extreme is tried as the end of the range."""


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


@dataclass(frozen=True)
class QuantizationParameters:
    """u8 code ``q`` stands for ``(q - zero_point) * scale``."""

    scale: np.float32
    zero_point: np.uint8

    @classmethod
    def of(cls, chosen: Range) -> QuantizationParameters:
        """Return the parameters whose codes cover ``chosen``."""
        return cls(chosen.scale, chosen.zero_point)

    @property
    def covered(self) -> tuple[float, float]:
        """The numbers that the first and the last code stand for; :meth:`of` them is ``self``."""
        zero, scale = int(self.zero_point), float(self.scale)
        return -zero * scale, (255 - zero) * scale

    def rounded(self, x: Array) -> NDArray[np.float32]:
        """Return ``x`` as its codes stand for it, float32."""
        steps = np.rint(x / self.scale)
        low, high = -float(self.zero_point), 255 - float(self.zero_point)
        return np.asarray(np.clip(steps, low, high) * self.scale, np.float32)


def choose_range(
    histogram: Histogram,
    method: CalibrationMethod,
    response: Response | None = None,
    inactive: Histogram | None = None,
) -> Range:
    """Return the range that ``method`` picks from what was counted.

    Least error is that of the ``response`` to the tensor, where there is one. ``inactive`` has the
    lowest ends that change nothing (:mod:`resnet_deploy.quantization.relu_sums`); they are not
    rounded.

    Raises:
        DatasetError: nothing was counted.
    """
    if histogram.low > histogram.high:
        raise DatasetError("no calibration image was run: give at least one")
    low = min(histogram.low, 0.0 if inactive is None else inactive.low)
    extremes = Range(min(low, 0.0), max(histogram.high, 0.0))
    if extremes.low == extremes.high:
        return extremes
    if method is CalibrationMethod.MSE:
        return _least_error(histogram, extremes, response, inactive)
    return _METHODS[method](histogram, extremes)


def _percentile(histogram: Histogram, extremes: Range) -> Range:
    """Leave out the outermost 0.001 % of the values on each side, zeros counted."""
    counts = histogram.counts.copy()
    counts[BINS // 2] += histogram.zeros
    share = np.cumsum(counts) / counts.sum()
    edges = histogram.centers + histogram.width / 2
    high = float(edges[np.searchsorted(share, _PERCENTILE)])
    low = float(edges[np.searchsorted(share, 1 - _PERCENTILE)] - histogram.width)
    return Range(max(extremes.low, min(low, 0.0)), min(extremes.high, max(high, 0.0)))


def _least_error(
    histogram: Histogram,
    extremes: Range,
    response: Response | None,
    inactive: Histogram | None = None,
) -> Range:
    """Return the range of least mean squared error, clipping weighted, found end by end.

    Inside, the error is uniform over a step: variance step^2 / 12, times the squared slope of the
    ``response``. Outside it is the distance to the end, or between the responses. Zeros are exact
    and do not count.
    """
    # Behind a ReLU half of the bins are empty, and others where the largest values are few.
    counted = np.flatnonzero(histogram.counts)
    centers, counts = histogram.centers[counted], histogram.counts[counted]
    slope = 1.0 if response is None else response.slope(centers) ** 2

    def error(low: float, high: float) -> float:
        outside = np.maximum(low - centers, 0) + np.maximum(centers - high, 0)
        step = (high - low) / 255
        clipped = outside
        if response is not None:
            clipped = response.value(np.clip(centers, low, high)) - response.value(centers)
        squares = np.where(outside > 0, _CLIPPED * clipped**2, slope * step**2 / 12)
        return float((counts * squares).sum()) + raised(low)

    def raised(low: float) -> float:
        if inactive is None:
            return 0.0
        squares = np.maximum(low - inactive.centers, 0) ** 2
        return _CLIPPED * float((inactive.counts * squares).sum())

    high = _best_end(extremes.high, lambda end: error(extremes.low, end))
    low = _best_end(extremes.low, lambda end: error(end, high))
    if low != extremes.low:  # else it would be found again
        high = _best_end(extremes.high, lambda end: error(low, end))
    return Range(low, high)


def _least_divergence(histogram: Histogram, extremes: Range) -> Range:
    """Return the range whose quantized values are distributed most like the real ones.

    The Kullback-Leibler divergence between the magnitudes, clipped, and the same in as many
    levels as u8 gives them: 255, or 127 when there are negative values as well.
    Source: Migacz, "8-bit inference with TensorRT", GTC 2017.
    """
    half = BINS // 2
    magnitudes = histogram.counts[half:] + histogram.counts[:half][::-1]
    levels = 255 if extremes.low == 0 or extremes.high == 0 else 127
    largest = max(extremes.high, -extremes.low)

    def divergence(end: float) -> float:
        return _divergence(magnitudes, int(np.ceil(end / histogram.width)), levels)

    end = _best_end(largest, divergence)
    return Range(max(extremes.low, -end), min(extremes.high, end))


def _divergence(magnitudes: NDArray[np.int64], bins: int, levels: int) -> float:
    """Return KL(P || Q) for the first ``bins`` magnitudes, the rest clipped into the last one."""
    real = magnitudes[:bins].astype(np.float64)
    level = np.arange(bins) * levels // bins
    occupied = np.bincount(level, real > 0, levels)
    quantized = np.where(
        real > 0, np.bincount(level, real, levels)[level] / np.maximum(occupied, 1)[level], 0.0
    )
    real[-1] += magnitudes[bins:].sum()
    # A clipped value has no counterpart among the quantized ones; a trace keeps the sum finite.
    p, q = real / real.sum(), (quantized + 1e-9) / (quantized + 1e-9).sum()
    some = p > 0
    return float((p[some] * np.log(p[some] / q[some])).sum())


def _best_end(end: float, cost: Callable[[float], float]) -> float:
    """Return ``end`` times the share that costs least; 0 stays 0."""
    if end == 0:
        return 0.0
    return min((end * float(share) for share in _SHARES), key=cost)


_METHODS: dict[CalibrationMethod, Callable[[Histogram, Range], Range]] = {
    CalibrationMethod.MINMAX: lambda _, extremes: extremes,
    CalibrationMethod.PERCENTILE: _percentile,
    CalibrationMethod.ENTROPY: _least_divergence,
}
