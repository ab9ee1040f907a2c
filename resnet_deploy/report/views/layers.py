"""Bars of layers, grouped by torch module: what parity and sensitivity share."""

from __future__ import annotations

from collections.abc import Sequence

from resnet_deploy.report.chart import Bar, Bars

_MOST_BARS = 400
"""Layers drawn; the table below has them all."""


def module_charts(
    rows: Sequence[Bar], *, what: str, axis: str, caption: str, bound: float | None = None
) -> tuple[Bars, ...]:
    """Return a chart per outermost module of the rows' labels, all with the same axis."""
    shown = rows[:_MOST_BARS]
    groups: dict[str, list[Bar]] = {}
    for row in shown:
        outer, dot, _ = row.label.partition(".")
        groups.setdefault(outer if dot else "", []).append(row)
    names = {"": "Outside the stages" if len(groups) > 1 else "All layers"}
    return tuple(
        Bars(
            f"{what}, {names.get(group, group)}",
            axis,
            members,
            heading=names.get(group, group),
            # It is the same for all.
            caption=caption if number == 0 else "",
            alike=shown,
            bound=bound,
        )
        for number, (group, members) in enumerate(groups.items())
    )
