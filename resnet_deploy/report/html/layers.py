"""Bars of layers, grouped by torch module: what parity and sensitivity pages share."""

from __future__ import annotations

from collections.abc import Sequence

from resnet_deploy.report.html.charts.bars import Bar, bars
from resnet_deploy.report.html.page import Figure

_MOST_BARS = 400
"""Layers drawn; the table below has them all."""


def module_figures(
    rows: Sequence[Bar], *, what: str, axis: str, caption: str, bound: float | None = None
) -> tuple[Figure, ...]:
    """Return a chart per outermost module of the rows' labels, all with the same axis."""
    shown = rows[:_MOST_BARS]
    groups: dict[str, list[Bar]] = {}
    for row in shown:
        outer, dot, _ = row.label.partition(".")
        groups.setdefault(outer if dot else "", []).append(row)
    names = {"": "Outside the stages" if len(groups) > 1 else "All layers"}
    return tuple(
        Figure(
            heading=names.get(group, group),
            chart=bars(
                members,
                title=f"{what}, {names.get(group, group)}",
                description="; ".join(f"{one.label} {one.text}" for one in members),
                axis=axis,
                alike=shown,
                bound=bound,
            ),
            # It is the same for all.
            caption=caption if number == 0 else "",
        )
        for number, (group, members) in enumerate(groups.items())
    )
