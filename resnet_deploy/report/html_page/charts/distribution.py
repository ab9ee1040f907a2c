"""How a quantity is spread, subject by subject: a density, a box and the single values."""

from __future__ import annotations

import math
import statistics

from markupsafe import Markup

from resnet_deploy.report.chart import Distributions
from resnet_deploy.report.html_page.charts.drawing import WIDTH, Drawing, label_room
from resnet_deploy.report.html_page.charts.scale import Scale, draw_axis, fitted

_ROW = 84.0
_DENSITY = 36.0
_BOX = 10.0
_CLOUD = 16.0
_MOST_DOTS = 200
_GRID = 72
_COLOURS = 6
_GOLDEN = 0.6180339887498949
"""Multiples of it, modulo 1, fill an interval evenly: a jitter that is the same every time."""


def distributions(chart: Distributions) -> Markup:
    """Return one row per subject; the axis is logarithmic where the values differ much.

    Of more than 200 values of a subject, 200 evenly spread ones of the sorted list are drawn.
    """
    rows = chart.rows
    left = label_room([row.label for row in rows], 250)
    right = WIDTH - label_room([row.text for row in rows], 220)
    bottom = 12 + _ROW * len(rows)
    drawing = Drawing(bottom + 48, title=chart.title, description=chart.description)
    scale = fitted((one for row in rows for one in row.values), left, right)
    scale_name = f"{chart.axis}, logarithmic" if scale.log else chart.axis
    draw_axis(drawing, scale, top=6, bottom=bottom, label=scale_name)
    for index, row in enumerate(rows):
        base = 12 + _ROW * index + _DENSITY + 6
        colour = f"c{index % _COLOURS}"
        drawing.text(0, base + 4, row.label, "label", room=left - 10)
        drawing.text(WIDTH, base + 4, row.text, "value", anchor="end", room=WIDTH - right)
        values = _evenly(sorted(one for one in row.values if math.isfinite(one)))
        if values:
            _draw_row(drawing, scale, values, base, colour)
    return drawing.markup()


def _draw_row(
    drawing: Drawing, scale: Scale, values: list[float], base: float, colour: str
) -> None:
    places = [scale(one) for one in values]
    outline = [(x, base - _BOX / 2 - 4 - _DENSITY * y) for x, y in _density(places, scale)]
    floor = base - _BOX / 2 - 4
    drawing.polygon(
        [(outline[0][0], floor), *outline, (outline[-1][0], floor)], f"density {colour}"
    )
    low, quarter, middle, three, high = (
        places[round(share * (len(places) - 1))] for share in (0.01, 0.25, 0.5, 0.75, 0.99)
    )
    middle = statistics.median(places)
    drawing.line((low, base), (high, base), f"whisker {colour}")
    drawing.rect(quarter, base - _BOX / 2, max(three - quarter, 1.5), _BOX, f"box {colour}")
    drawing.line((middle, base - _BOX / 2 - 3), (middle, base + _BOX / 2 + 3), f"median {colour}")
    for index, x in enumerate(places):
        y = base + _BOX / 2 + 6 + _CLOUD * (index * _GOLDEN % 1)
        drawing.circle(x, y, 1.8, f"dot {colour}")


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
    heights = [sum(math.exp(-0.5 * ((x - one) / width) ** 2) for one in places) for x in grid]
    peak = max(heights)
    return [(x, height / peak) for x, height in zip(grid, heights, strict=True)]
