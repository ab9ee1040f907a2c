"""Horizontal bars, one per name, with a bound or a second value to compare with."""

from __future__ import annotations

import math

from markupsafe import Markup

from resnet_deploy.report.chart import Bar, Bars
from resnet_deploy.report.html_page.charts.drawing import WIDTH, Drawing, label_room
from resnet_deploy.report.html_page.charts.scale import Scale, draw_axis, from_zero
from resnet_deploy.report.words import percent_tick

_ROW = 22.0
_BAR = 13.0


def bars(chart: Bars) -> Markup:
    """Return one bar per row, and a line at the bound."""
    rows, bound = chart.rows, chart.bound
    shared = chart.alike or rows
    left = label_room([row.label for row in shared], 300)
    right = WIDTH - label_room([row.text for row in shared], 200)
    bottom = 12 + _ROW * len(rows)
    drawing = Drawing(bottom + 48, title=chart.title, description=chart.description)
    every = [one.value for one in shared] + [one.other for one in shared if one.other is not None]
    scale = from_zero(every if bound is None else [*every, bound], left, right)
    tick = percent_tick if chart.percent else "{:g}".format
    draw_axis(drawing, scale, top=6, bottom=bottom, label=chart.axis, tick=tick)
    for index, row in enumerate(rows):
        y = 12 + _ROW * (index + 0.5)
        drawing.text(0, y + 4.5, row.label, "label", room=left - 10)
        drawing.text(WIDTH, y + 4.5, row.text, "value", anchor="end", room=WIDTH - right)
        _draw(drawing, scale, row, y)
    drawing.line((scale(0), 6), (scale(0), bottom), "zero")
    if bound is not None and math.isfinite(bound):
        drawing.line((scale(bound), 0), (scale(bound), bottom + 4), "reference")
    return drawing.markup()


def _draw(drawing: Drawing, scale: Scale, row: Bar, y: float) -> None:
    if not math.isnan(row.value):
        start, end = sorted((scale(0), scale(row.value)))
        style = "endless" if math.isinf(row.value) else row.style
        hint = f"{row.label}: {row.text}"
        drawing.rect(start, y - _BAR / 2, end - start, _BAR, f"bar {style}", hint=hint)
    if row.other is not None and math.isfinite(row.other):
        x = scale(row.other)
        drawing.line((x, y - _BAR / 2 - 2), (x, y + _BAR / 2 + 2), "mark")
