"""What there is to choose from: time against accuracy, and the front of the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from resnet_deploy.report.chart import Point, Scatter
from resnet_deploy.report.words import milliseconds

_MOST_POINTS = 300


def candidate(
    label: str,
    latency_ms: float,
    loss: float,
    *,
    front: bool = False,
    chosen: bool = False,
    size: float = 0.3,
    mark: str = "",
) -> Point:
    """Return one configuration: milliseconds per run, and what it loses of accuracy.

    ``front``: nothing beats it in everything. ``chosen``: the answer. ``size`` is the file's as a
    share of the largest one's. ``mark`` stands for a long ``label`` in the chart.
    """
    return Point(
        label=mark or label,
        text=f"{label}: {milliseconds(latency_ms)}, {loss:.2f}",
        x=latency_ms,
        y=loss,
        size=size,
        style="chosen" if chosen else "plain" if front else "muted",
        named=front or chosen,
        front=front,
    )


def pareto_front(
    candidates: Sequence[Point], *, title: str, lost: str, caption: str = ""
) -> Scatter:
    """Return candidates as a chart with its front; ``lost`` is what is on the y axis."""
    # NaN compares as nothing: it goes last.
    ordered = sorted(candidates, key=lambda p: (not p.named, math.isnan(p.x), p.x, p.text))
    shown = [replace(point, text=f"{point.text} {lost}") for point in ordered[:_MOST_POINTS]]
    return Scatter(
        title,
        "milliseconds per run",
        lost,
        shown,
        caption="Further left is faster, further down is more accurate."
        + " The line joins what nothing else beats." * any(point.front for point in shown)
        + " The chosen one is set off." * any(point.style == "chosen" for point in shown)
        + caption,
    )
