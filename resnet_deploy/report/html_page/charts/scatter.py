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
"""Left, top, right and bottom."""


def scatter(chart: Scatter) -> Markup:
    """Return the points, the ``front`` joined by steps; those without coordinates are left out."""
    shown = [point for point in chart.points if math.isfinite(point.x) and math.isfinite(point.y)]
    description = "; ".join(point.text for point in chart.points if point.named)
    drawing = Drawing(_BOTTOM + 48, title=chart.title, description=description)
    across = fitted((point.x for point in shown), _LEFT, _RIGHT)
    up = fitted((point.y for point in shown), _BOTTOM, _TOP, log=False)
    x_name = f"{chart.axis}, logarithmic" if across.log else chart.axis
    draw_axis(drawing, across, top=_TOP, bottom=_BOTTOM, label=x_name)
    for value in up.ticks():
        drawing.line((_LEFT, up(value)), (_RIGHT, up(value)), "grid")
        drawing.text(_LEFT - 10, up(value) + 4, f"{value:g}", "tick", anchor="end")
    drawing.text(0, 13, chart.y_axis, "axis")
    steps = _steps(across, up, shown)
    if steps:
        drawing.path(steps, "front")
    boxes: list[Box] = []
    # The named last, so that nothing hides them.
    for point in sorted(shown, key=lambda point: point.named):
        x, y, radius = across(point.x), up(point.y), _radius(point)
        drawing.circle(x, y, radius, f"point {point.style}", hint=point.text)
        boxes.append((x - radius, y - radius, x + radius, y + radius))
    for (left, bottom), (right, top) in itertools.pairwise(steps):
        boxes.append((left - 1, min(bottom, top) - 1, right + 1, max(bottom, top) + 1))
    for point in shown:
        if point.named:
            _draw_label(drawing, point, across(point.x), up(point.y), boxes)
    return drawing.markup()


def _steps(across: Scale, up: Scale, points: Sequence[Point]) -> list[tuple[float, float]]:
    """Return the front as a line of steps: what a point offers holds until the next one."""
    steps: list[tuple[float, float]] = []
    for x, y in sorted((across(point.x), up(point.y)) for point in points if point.front):
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
        (x + gap, y + gap + 10, "start", x + gap),
    )
    for at, baseline, anchor, start in places:
        box = (start, baseline - _LINE + 4, start + width, baseline + 4)
        inside = start >= _LEFT and box[2] <= _RIGHT and box[1] >= _TOP and box[3] <= _BOTTOM
        if inside and not any(_overlap(box, taken) for taken in boxes):
            drawing.text(at, baseline, point.label, f"name {point.style}", anchor=anchor)
            boxes.append(box)
            return


def _radius(point: Point) -> float:
    # The area stands for the size.
    return 4 + 8 * math.sqrt(min(max(point.size, 0.0), 1.0))


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
