"""Estimates with their intervals, beside a reference: a forest plot."""

from __future__ import annotations

import math

from markupsafe import Markup

from resnet_deploy.report.chart import Estimate, Forest
from resnet_deploy.report.html_page.charts.drawing import WIDTH, Drawing, label_room
from resnet_deploy.report.html_page.charts.scale import Scale, draw_axis, fitted
from resnet_deploy.report.words import percent_tick

_ROW = 32.0
_ROW_WITH_DOTS = 46.0
_ARROW = 6.0
_MOST_DOTS = 60


def forest(chart: Forest) -> Markup:
    """Return one row per estimate, with a line at the reference; an arrow is an open end."""
    rows, reference = chart.rows, chart.reference
    left = label_room([row.label for row in rows], 380)
    right = WIDTH - label_room([row.text for row in rows], 220)
    height = _ROW_WITH_DOTS if any(row.dots for row in rows) else _ROW
    bottom = 12 + height * len(rows)
    drawing = Drawing(bottom + 48, title=chart.title, description=chart.description)
    every = [one for row in rows for one in (row.value, *row.interval, *row.dots)]
    if reference is not None:
        every.append(reference)
    scale = fitted(every, left, right, log=chart.log)
    name = f"{chart.axis}, logarithmic" if chart.log else chart.axis
    tick = percent_tick if chart.percent else "{:g}".format
    draw_axis(drawing, scale, top=6, bottom=bottom, label=name, tick=tick)
    if reference is not None:
        drawing.line((scale(reference), 0), (scale(reference), bottom + 4), "reference")
    for index, row in enumerate(rows):
        y = 12 + height * (index + 0.5)
        drawing.text(0, y + 4, row.label, "label", room=left - 10)
        drawing.text(WIDTH, y + 4, row.text, "value", anchor="end", room=WIDTH - right)
        if math.isfinite(row.value):
            _draw(drawing, scale, row, y)
    return drawing.markup()


def _draw(drawing: Drawing, scale: Scale, row: Estimate, y: float) -> None:
    for one in row.dots[:_MOST_DOTS]:
        if math.isfinite(one):
            drawing.circle(scale(one), y + 12, 2, f"dot {row.style}")
    low, high = ((end if not math.isnan(end) else row.value) for end in row.interval)
    start, end = scale(low), scale(high)
    drawing.line((start, y), (end, y), f"interval {row.style}")
    for place, value, sign in ((start, low, 1), (end, high, -1)):
        if scale.low <= value <= scale.high:
            drawing.line((place, y - 5), (place, y + 5), f"interval {row.style}")
        else:
            tip = [(place + sign * _ARROW, y - _ARROW), (place, y)]
            drawing.polyline([*tip, (place + sign * _ARROW, y + _ARROW)], f"interval {row.style}")
    drawing.circle(scale(row.value), y, 5.5, f"estimate {row.style}", hint=row.text)
