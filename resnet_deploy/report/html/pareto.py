"""What there is to choose from: latency against accuracy, and the front of the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from resnet_deploy.report.html.charts.scatter import Point, scatter
from resnet_deploy.report.html.page import Figure, Section, Table
from resnet_deploy.report.html.words import milliseconds

_MOST_POINTS = 300


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One configuration: milliseconds per run, points of accuracy lost, and the file in MB.

    ``on_front``: nothing beats it in everything. ``chosen``: the answer. ``mark`` stands for a
    long ``label`` in the chart, and is in front of it in the table.
    """

    label: str
    latency_ms: float
    accuracy_drop: float
    file_mb: float | None = None
    on_front: bool = False
    chosen: bool = False
    mark: str = ""


def pareto(
    points: Sequence[Candidate],
    *,
    title: str = "Speed against accuracy",
    lost: str = "points of accuracy lost",
) -> Section:
    """Return the candidates as a chart with its front, and as a table, the fastest first."""
    ordered = sorted(points, key=_order)
    shown = [one for one in ordered if one.on_front or one.chosen]
    rest = [one for one in ordered if not (one.on_front or one.chosen)]
    shown += rest[: max(0, _MOST_POINTS - len(shown))]
    largest = max((one.file_mb for one in shown if one.file_mb is not None), default=0.0)
    chart = scatter(
        [_point(one, largest) for one in shown],
        title=title,
        description="; ".join(
            f"{one.label}: {milliseconds(one.latency_ms)}, {one.accuracy_drop:.2f} {lost}"
            for one in ordered
            if one.on_front or one.chosen
        ),
        x_axis="milliseconds per run",
        y_axis=lost,
    )
    sized = any(one.file_mb is not None for one in points)
    caption = (
        "Further left is faster, further down is more accurate."
        + " The line joins what nothing else beats." * any(one.on_front for one in points)
        + " The chosen one is set off." * any(one.chosen for one in points)
        + " A larger dot is a larger file." * sized
    )
    table = Table(
        caption=title,
        columns=("Candidate", "Time", lost.capitalize(), *(("File",) if sized else ()), "Standing"),
        rows=tuple(
            (
                f"{one.mark} {one.label}".lstrip(),
                milliseconds(one.latency_ms),
                f"{one.accuracy_drop:.2f}",
                *((_size(one),) if sized else ()),
                "chosen" if one.chosen else "front" if one.on_front else "",
            )
            for one in ordered
        ),
    )
    return Section(title=title, blocks=(Figure(chart=chart, caption=caption), table))


def _order(one: Candidate) -> tuple[bool, float, str]:
    # NaN compares as nothing: it goes last.
    return math.isnan(one.latency_ms), one.latency_ms, one.label


def _point(one: Candidate, largest: float) -> Point:
    size = one.file_mb / largest if one.file_mb is not None and largest > 0 else 0.3
    return Point(
        label=one.mark or one.label,
        x=one.latency_ms,
        y=one.accuracy_drop,
        size=size,
        style="chosen" if one.chosen else "plain" if one.on_front else "muted",
        named=one.on_front or one.chosen,
        front=one.on_front,
    )


def _size(one: Candidate) -> str:
    return "" if one.file_mb is None else f"{one.file_mb:,.1f} MB"
