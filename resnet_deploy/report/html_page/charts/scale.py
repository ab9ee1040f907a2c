"""From values to places along an axis, and where its ticks are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from resnet_deploy.report.html_page.charts.drawing import Drawing

_LOG_SPREAD = 8.0
"""Beyond this ratio of the largest to the smallest value, a linear axis hides the small ones."""

_MOST_TICKS = 9

_NOTHING = 1e-12
"""A range below has no digits worth showing."""


@dataclass(frozen=True)
class Scale:
    """Maps ``low``..``high`` onto ``start``..``end``; values outside end up on the border."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the place of ``value``, which may be infinite but not NaN."""
        value = min(max(value, self.low), self.high)
        low, high = self.low, self.high
        if self.log:
            value, low, high = math.log(value), math.log(low), math.log(high)
        share = (value - low) / (high - low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return up to nine round values within the range."""
        if self.log:
            for factors in ((1, 2, 5), (1,)):
                found = self._log_ticks(factors)
                if 3 <= len(found) <= _MOST_TICKS:
                    return found
        return self._linear_ticks()

    def _log_ticks(self, factors: tuple[int, ...]) -> list[float]:
        exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        every = [factor * 10.0**exponent for exponent in exponents for factor in factors]
        found = [tick for tick in every if self.low <= tick <= self.high]
        return found[:: len(found) // _MOST_TICKS + 1]

    def _linear_ticks(self) -> list[float]:
        rough = (self.high - self.low) / 8
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        count = math.floor(self.high / step + 1e-9) - first + 1
        # Multiplying, not adding up: 0.1 added three times is no longer 0.3.
        return [(first + index) * step for index in range(count)]


def fitted(values: Iterable[float], start: float, end: float, *, log: bool | None = None) -> Scale:
    """Return a scale with a little room around the finite ones of ``values``.

    ``log`` None decides by the spread. A log scale leaves out what is not positive.
    """
    found = list(filter(math.isfinite, values))
    positive = [value for value in found if value > 0]
    if log is None:
        log = bool(positive) and len(positive) == len(found)
        log = log and max(positive) / min(positive) > _LOG_SPREAD
    if log:
        low, high = (min(positive), max(positive)) if positive else (0.5, 2.0)
        margin = max((high / low) ** 0.05, 1.02)
        return Scale(low / margin, high * margin, start, end, log=True)
    low, high = (min(found), max(found)) if found else (0.0, 1.0)
    margin = max((high - low) * 0.05, abs(high) * 0.01) or 1.0
    return Scale(low - margin, high + margin, start, end)


def from_zero(values: Iterable[float], start: float, end: float) -> Scale:
    """Return a linear scale that holds zero and the finite ones of ``values``: for bars."""
    found = [0.0, *filter(math.isfinite, values)]
    low, high = min(found), max(found)
    if high - low < _NOTHING:
        high = low + 1
    return Scale(low * 1.04, high * 1.04, start, end)


def draw_axis(
    drawing: Drawing,
    scale: Scale,
    *,
    top: float,
    bottom: float,
    label: str,
    tick: Callable[[float], str] = "{:g}".format,
) -> None:
    """Draw a vertical grid line per tick, its value below ``bottom``, and what the axis is."""
    for value in scale.ticks():
        x = scale(value)
        drawing.line((x, top), (x, bottom), "grid")
        drawing.text(x, bottom + 18, tick(value), "tick", anchor="middle")
    middle = (scale.start + scale.end) / 2
    drawing.text(middle, bottom + 38, label, "axis", anchor="middle")
