"""Where the time of a run goes: by operator and by torch module."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

from resnet_deploy.report.html.charts.bars import Bar, bars
from resnet_deploy.report.html.page import Figure, Section, Table
from resnet_deploy.report.html.words import milliseconds
from resnet_deploy.results.operator_times import Profile

_MOST_BARS = 20

Row = tuple[str, str, float]
"""A torch module, the operator that runs there, and its milliseconds per run."""


def profile_section(profile: Profile, *, title: str) -> Section:
    """Return one subject's profile, the type of each operator beside its kernel."""
    rows = [(one.module, f"{one.kernel}, {one.kind.value}", one.ms) for one in profile.operators]
    return operator_profile(rows, title=title)


def operator_profile(rows: Iterable[Row], *, title: str = "Where the time goes") -> Section:
    """Return the time per operator and per module as charts, and all ``rows`` as a table."""
    known = [row for row in rows if math.isfinite(row[2])]
    total = sum(row[2] for row in known)
    by_operator: dict[str, float] = defaultdict(float)
    by_module: dict[str, float] = defaultdict(float)
    for module, operator, spent in known:
        by_operator[operator] += spent
        by_module[module] += spent
    ordered = sorted(known, key=lambda row: (-row[2], row[:2]))
    table = Table(
        caption="Every operator, the slowest first",
        columns=("Module", "Operator", "Time", "Share"),
        words=2,
        rows=tuple(
            (module, operator, milliseconds(spent), _share(spent, total))
            for module, operator, spent in ordered
        ),
    )
    return Section(
        title=title,
        blocks=(
            _figure("By operator", by_operator, total),
            _figure("By module", by_module, total),
            table,
        ),
    )


def _figure(heading: str, spent: dict[str, float], total: float) -> Figure:
    ordered = sorted(spent.items(), key=lambda one: (-one[1], one[0]))
    rows = [
        Bar(label=name, value=one, text=f"{milliseconds(one)}, {_share(one, total)}")
        for name, one in ordered[:_MOST_BARS]
    ]
    caption = f"{milliseconds(total)} in all operators together"
    if len(ordered) > _MOST_BARS:
        rest = sum(one for _, one in ordered[_MOST_BARS:])
        caption += f"; {len(ordered) - _MOST_BARS} more take {milliseconds(rest)}"
    return Figure(
        heading=heading,
        chart=bars(
            rows,
            title=f"Time {heading.lower()}",
            description="; ".join(f"{row.label}: {row.text}" for row in rows),
            axis="milliseconds per run",
        ),
        caption=f"{caption}.",
    )


def _share(part: float, total: float) -> str:
    return f"{part / total:.1%}" if total > 0 else ""
