"""Charts with one row per subject: bars, a forest plot, distributions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import TypeVar

from markupsafe import Markup

from resnet_deploy.report.chart import Bar, Bars, Distributions, Estimate, Forest, Series
from resnet_deploy.report.html_page.charts.drawing import WIDTH, Drawing, label_room
from resnet_deploy.report.html_page.charts.scale import Scale, draw_axis, fitted, from_zero
from resnet_deploy.report.words import percent_tick

_TOP = 12.0
_BAR = 13.0
_BOX = 10.0
_DENSITY = 36.0
_CLOUD = 16.0
_ARROW = 6.0
_COLOURS = 6
_MOST_ROUNDS = 60
"""Dots below an estimate."""

_MOST_DOTS = 200
"""Of a distribution; of more values, as many evenly spread ones of the sorted list are drawn."""

_GRID = 72
_GOLDEN = 0.6180339887498949
"""Multiples of it, modulo 1, fill an interval evenly: a jitter that is the same every time."""

Row = TypeVar("Row", Bar, Estimate, Series)


class _Rows(Drawing):
    """Rows of ``height``: a label, the room from ``left`` to ``right``, what is said of it.

    ``most`` are the widest labels and texts that are not shortened.
    """

    def __init__(
        self,
        chart: Bars | Forest | Distributions,
        height: float,
        most: tuple[float, float],
        alike: Sequence[Bar] = (),
    ) -> None:
        rows = chart.rows
        self.left = label_room([row.label for row in alike or rows], most[0])
        self.right = WIDTH - label_room([row.text for row in alike or rows], most[1])
        self.bottom = _TOP + height * len(rows)
        self._height = height
        description = "; ".join(f"{row.label}: {row.text}" for row in rows)
        super().__init__(self.bottom + 48, title=chart.title, description=description)

    def axis(self, scale: Scale, label: str, *, percent: bool = False) -> None:
        """Draw the axis below the rows."""
        label = f"{label}, logarithmic" if scale.log else label
        tick = percent_tick if percent else "{:g}".format
        draw_axis(self, scale, top=6, bottom=self.bottom, label=label, tick=tick)

    def each(self, rows: Sequence[Row]) -> Iterator[tuple[Row, float]]:
        """Write label and text of each of ``rows``; yield it and the height of its middle."""
        for index, row in enumerate(rows):
            y = _TOP + self._height * (index + 0.5)
            self.text(0, y + 4, row.label, "label", room=self.left - 10)
            self.text(WIDTH, y + 4, row.text, "value", anchor="end", room=WIDTH - self.right)
            yield row, y


def bars(chart: Bars) -> Markup:
    """Return one bar per row, and a line at the bound."""
    shared = chart.alike or chart.rows
    drawing = _Rows(chart, 22, (300, 200), shared)
    found = [chart.bound, *(value for row in shared for value in (row.value, row.reference))]
    values = [value for value in found if value is not None]
    scale = from_zero(values, drawing.left, drawing.right)
    drawing.axis(scale, chart.axis, percent=chart.percent)
    for row, y in drawing.each(chart.rows):
        if not math.isnan(row.value):
            start, end = sorted((scale(0), scale(row.value)))
            style = "endless" if row.value == math.inf else row.style
            hint = f"{row.label}: {row.text}"
            drawing.rect(start, y - _BAR / 2, end - start, _BAR, f"bar {style}", hint=hint)
        if row.reference is not None and math.isfinite(row.reference):
            x = scale(row.reference)
            drawing.line((x, y - _BAR / 2 - 2), (x, y + _BAR / 2 + 2), "mark")
    drawing.line((scale(0), 6), (scale(0), drawing.bottom), "zero")
    if chart.bound is not None and math.isfinite(chart.bound):
        x = scale(chart.bound)
        drawing.line((x, 0), (x, drawing.bottom + 4), "reference")
    return drawing.markup()


def forest(chart: Forest) -> Markup:
    """Return one row per estimate, with a line at the reference; an arrow is an open end."""
    rows, reference = chart.rows, chart.reference
    drawing = _Rows(chart, 46 if any(row.dots for row in rows) else 32, (380, 220))
    values = [value for row in rows for value in (row.value, *row.interval, *row.dots)]
    if reference is not None:
        values.append(reference)
    scale = fitted(values, drawing.left, drawing.right, log=chart.log)
    drawing.axis(scale, chart.axis, percent=chart.percent)
    if reference is not None:
        x = scale(reference)
        drawing.line((x, 0), (x, drawing.bottom + 4), "reference")
    for row, y in drawing.each(rows):
        if math.isfinite(row.value):
            _draw_estimate(drawing, scale, row, y)
    return drawing.markup()


def _draw_estimate(drawing: Drawing, scale: Scale, row: Estimate, y: float) -> None:
    for value in row.dots[:_MOST_ROUNDS]:
        if math.isfinite(value):
            drawing.circle(scale(value), y + 12, 2, f"dot {row.style}")
    low, high = ((end if not math.isnan(end) else row.value) for end in row.interval)
    style = f"interval {row.style}"
    drawing.line((scale(low), y), (scale(high), y), style)
    for value, sign in ((low, 1), (high, -1)):
        x = scale(value)
        if scale.low <= value <= scale.high:
            drawing.line((x, y - 5), (x, y + 5), style)
        else:
            back = x + sign * _ARROW
            drawing.path([(back, y - _ARROW), (x, y), (back, y + _ARROW)], style)
    drawing.circle(scale(row.value), y, 5.5, f"estimate {row.style}", hint=row.text)


def distributions(chart: Distributions) -> Markup:
    """Return density, box and values of each subject, on a log axis where they differ much."""
    drawing = _Rows(chart, 84, (250, 220))
    values = [value for row in chart.rows for value in row.values]
    scale = fitted(values, drawing.left, drawing.right)
    drawing.axis(scale, chart.axis)
    for index, (row, y) in enumerate(drawing.each(chart.rows)):
        places = [scale(value) for value in _evenly(sorted(filter(math.isfinite, row.values)))]
        if places:
            _draw_distribution(drawing, scale, places, y, f"c{index % _COLOURS}")
    return drawing.markup()


def _draw_distribution(
    drawing: Drawing, scale: Scale, places: list[float], y: float, colour: str
) -> None:
    floor = y - _BOX / 2 - 4
    outline = [(x, floor - _DENSITY * height) for x, height in _density(places, scale)]
    ends = (outline[0][0], floor), (outline[-1][0], floor)
    drawing.path([ends[0], *outline, ends[1]], f"density {colour}", closed=True)
    low, quarter, three, high = (
        places[round(share * (len(places) - 1))] for share in (0.01, 0.25, 0.75, 0.99)
    )
    middle = statistics.median(places)
    drawing.line((low, y), (high, y), f"whisker {colour}")
    drawing.rect(quarter, y - _BOX / 2, max(three - quarter, 1.5), _BOX, f"box {colour}")
    drawing.line((middle, y - _BOX / 2 - 3), (middle, y + _BOX / 2 + 3), f"median {colour}")
    for index, x in enumerate(places):
        below = y + _BOX / 2 + 6 + _CLOUD * (index * _GOLDEN % 1)
        drawing.circle(x, below, 1.8, f"dot {colour}")


def _evenly(values: list[float]) -> list[float]:
    if len(values) <= _MOST_DOTS:
        return values
    step = (len(values) - 1) / (_MOST_DOTS - 1)
    return [values[round(index * step)] for index in range(_MOST_DOTS)]


def _density(places: list[float], scale: Scale) -> list[tuple[float, float]]:
    """Return the Gaussian kernel density over ``places``, its peak being 1.

    Bandwidth: B. W. Silverman, Density Estimation for Statistics and Data Analysis (1986),
    equation 3.31; never below what the eye can tell.
    """
    count = len(places)
    spread = statistics.pstdev(places)
    inner = (places[round(0.75 * (count - 1))] - places[round(0.25 * (count - 1))]) / 1.34
    width = max(0.9 * min(spread, inner or spread) * count**-0.2, 2.0)
    start = max(scale.start, places[0] - 3 * width)
    end = min(scale.end, places[-1] + 3 * width)
    # A step above the bandwidth would jump over single peaks.
    steps = max(_GRID, min(4 * _GRID, math.ceil((end - start) / width)))
    grid = [start + (end - start) * index / steps for index in range(steps + 1)]
    heights = [sum(math.exp(-0.5 * ((x - place) / width) ** 2) for place in places) for x in grid]
    peak = max(heights)
    return [(x, height / peak) for x, height in zip(grid, heights, strict=True)]
