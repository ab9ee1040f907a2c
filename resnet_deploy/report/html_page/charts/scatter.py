"""What there is to choose from: a scatter plot with a front of the best."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from markupsafe import Markup

from resnet_deploy.report.chart import Point, Scatter
from resnet_deploy.report.html_page.charts.drawing import WIDTH, Drawing, text_width
from resnet_deploy.report.html_page.charts.scale import Scale, draw_axis, fitted

_LEFT, _RIGHT, _TOP, _BOTTOM = 74.0, WIDTH - 20.0, 30.0, 390.0
_LINE = 17.0

Box = tuple[float, float, float, float]


def scatter(chart: Scatter) -> Markup:
    """Return the points, the ``front`` joined by steps; those without coordinates are left out."""
    shown = [one for one in chart.points if math.isfinite(one.x) and math.isfinite(one.y)]
    drawing = Drawing(_BOTTOM + 48, title=chart.title, description=chart.description)
    across = fitted((one.x for one in shown), _LEFT, _RIGHT)
    up = fitted((one.y for one in shown), _BOTTOM, _TOP, log=False)
    x_name = f"{chart.axis}, logarithmic" if across.log else chart.axis
    draw_axis(drawing, across, top=_TOP, bottom=_BOTTOM, label=x_name)
    for value in up.ticks():
        drawing.line((_LEFT, up(value)), (_RIGHT, up(value)), "grid")
        drawing.text(_LEFT - 10, up(value) + 4, f"{value:g}", "tick", anchor="end")
    drawing.text(0, 13, chart.y_axis, "axis")
    steps = _steps(across, up, shown)
    if steps:
        drawing.polyline(steps, "front")
    boxes = [_dot_box(across(one.x), up(one.y), _radius(one)) for one in shown]
    boxes += [_around(start, end) for start, end in itertools.pairwise(steps)]
    # The named last, so that nothing hides them.
    for one in sorted(shown, key=lambda one: one.named):
        x, y = across(one.x), up(one.y)
        drawing.circle(x, y, _radius(one), f"point {one.style}", hint=one.text)
    for one in shown:
        if one.named:
            _draw_label(drawing, one, across(one.x), up(one.y), boxes)
    return drawing.markup()


def _steps(across: Scale, up: Scale, points: Sequence[Point]) -> list[tuple[float, float]]:
    """Return the front as a line of steps: what a point offers holds until the next one."""
    steps: list[tuple[float, float]] = []
    for x, y in sorted((across(one.x), up(one.y)) for one in points if one.front):
        if steps and y <= steps[-1][1]:
            continue  # on the front for its size only: no better than a faster one
        if steps:
            steps.append((x, steps[-1][1]))
        steps.append((x, y))
    return steps


def _draw_label(drawing: Drawing, point: Point, x: float, y: float, boxes: list[Box]) -> None:
    """Write the label where it hides nothing; if there is no such place, not at all."""
    width, gap = text_width(point.label), _radius(point) + 6
    places = (
        (x + gap, y + 4, "start", x + gap),
        (x - gap, y + 4, "end", x - gap - width),
        (x, y - gap, "middle", x - width / 2),
        (x, y + gap + 10, "middle", x - width / 2),
        (x + gap, y - gap, "start", x + gap),
        (x - gap, y + gap + 10, "end", x - gap - width),
    )
    for at, baseline, anchor, start in places:
        box = (start, baseline - _LINE + 4, start + width, baseline + 4)
        inside = start >= _LEFT and box[2] <= _RIGHT and box[1] >= _TOP and box[3] <= _BOTTOM
        if inside and not any(_overlap(box, other) for other in boxes):
            drawing.text(at, baseline, point.label, f"name {point.style}", anchor=anchor)
            boxes.append(box)
            return


def _radius(point: Point) -> float:
    # The area stands for the size.
    return 4 + 8 * math.sqrt(min(max(point.size, 0.0), 1.0))


def _dot_box(x: float, y: float, radius: float) -> Box:
    return x - radius, y - radius, x + radius, y + radius


def _around(start: tuple[float, float], end: tuple[float, float]) -> Box:
    left, right = sorted((start[0], end[0]))
    top, bottom = sorted((start[1], end[1]))
    return left - 1, top - 1, right + 1, bottom + 1


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
