"""A profile: which layer takes how much of the time, and in which type."""

from __future__ import annotations

from collections import defaultdict

from resnet_deploy.report.chart import Bar, Bars
from resnet_deploy.report.document import Block, Notes, Table
from resnet_deploy.report.words import milliseconds, ms, plural
from resnet_deploy.results import Profile

_MOST_BARS = 20
_SHOWN = 25


def blocks(profile: Profile) -> tuple[Block, ...]:
    """Return the time by kernel and by module as charts, and every operator, slowest first."""
    total = profile.total_ms or 1.0
    by_kernel: dict[str, float] = defaultdict(float)
    by_module: dict[str, float] = defaultdict(float)
    for operator in profile.operators:
        by_kernel[f"{operator.kernel}, {operator.kind.value}"] += operator.ms
        by_module[operator.module] += operator.ms
    ordered = sorted(profile.operators, key=lambda op: (-op.ms, op.module, op.kernel))
    rest = sum(operator.ms for operator in ordered[_SHOWN:])
    table = Table.of(
        f"{profile.subject}: time by operator, batch size {profile.batch_size}, "
        f"{plural(profile.threads, 'thread')}",
        ordered,
        [
            ("module", lambda operator: operator.module),
            ("kernel", lambda operator: operator.kernel),
            ("type", lambda operator: operator.kind.value),
            ("ms", lambda operator: operator.ms, "{:.3f}".format),
            ("share", lambda operator: operator.ms / total, "{:.1%}".format),
        ],
        words=3,
        shown=_SHOWN,
        more=f"{len(ordered) - _SHOWN} more: {ms(rest)} ms, {rest / total:.1%}",
    )
    return (
        _chart("By kernel", by_kernel, profile.total_ms),
        _chart("By module", by_module, profile.total_ms),
        table,
        Notes((sentence(profile),), "strong"),
    )


def sentence(profile: Profile) -> str:
    """Return in words where the time goes."""
    shares = profile.shares
    conversions = sum(operator.kind.value == "conversion" for operator in profile.operators)
    return (
        f"{profile.subject}: {profile.total_ms:.3f} ms in {len(profile.operators)} operators: "
        f"{shares['int8']:.1%} int8, {shares['float']:.1%} float, {shares['conversion']:.1%} in "
        f"{conversions} that only change type or layout (Quantize, Reorder, Transpose)"
    )


def _chart(heading: str, spent: dict[str, float], total: float) -> Bars:
    ordered = sorted(spent.items(), key=lambda item: (-item[1], item[0]))
    caption = f"{milliseconds(total)} in all operators together"
    if len(ordered) > _MOST_BARS:
        rest = sum(took for _, took in ordered[_MOST_BARS:])
        caption += f"; {len(ordered) - _MOST_BARS} more take {milliseconds(rest)}"
    return Bars(
        f"Time {heading.lower()}",
        "milliseconds per run",
        [
            Bar(name, took, milliseconds(took) + (f", {took / total:.1%}" if total else ""))
            for name, took in ordered[:_MOST_BARS]
        ],
        heading=heading,
        caption=f"{caption}.",
    )
