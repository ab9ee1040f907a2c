"""What there is to choose from: time against accuracy, and the front of the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from resnet_deploy.report.chart import Point, Scatter
from resnet_deploy.report.words import milliseconds

_MOST_POINTS = 300


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One configuration: milliseconds per run, points of accuracy lost, and the file in MB.

    ``on_front``: nothing beats it in everything. ``chosen``: the answer. ``mark`` stands for a
    long ``label`` in the chart.
    """

    label: str
    latency_ms: float
    accuracy_drop: float
    file_mb: float | None = None
    on_front: bool = False
    chosen: bool = False
    mark: str = ""


def pareto(candidates: Sequence[Candidate], *, title: str, lost: str) -> Scatter:
    """Return the candidates as a chart with its front; ``lost`` is what is on the y axis."""
    ordered = sorted(candidates, key=_order)
    shown = [one for one in ordered if one.on_front or one.chosen]
    rest = [one for one in ordered if not (one.on_front or one.chosen)]
    shown += rest[: max(0, _MOST_POINTS - len(shown))]
    largest = max((one.file_mb for one in shown if one.file_mb is not None), default=0.0)
    return Scatter(
        title,
        "milliseconds per run",
        lost,
        [_point(one, largest, lost) for one in shown],
        caption="Further left is faster, further down is more accurate."
        + " The line joins what nothing else beats." * any(one.on_front for one in shown)
        + " The chosen one is set off." * any(one.chosen for one in shown)
        + " A larger dot is a larger file." * (largest > 0),
    )


def _order(one: Candidate) -> tuple[bool, float, str]:
    # NaN compares as nothing: it goes last.
    return math.isnan(one.latency_ms), one.latency_ms, one.label


def _point(one: Candidate, largest: float, lost: str) -> Point:
    size = one.file_mb / largest if one.file_mb is not None and largest > 0 else 0.3
    return Point(
        label=one.mark or one.label,
        text=f"{one.label}: {milliseconds(one.latency_ms)}, {one.accuracy_drop:.2f} {lost}",
        x=one.latency_ms,
        y=one.accuracy_drop,
        size=size,
        style="chosen" if one.chosen else "plain" if one.on_front else "muted",
        named=one.on_front or one.chosen,
        front=one.on_front,
    )
