"""A profile as a table: which layer takes how much of the time, and in which type."""

from __future__ import annotations

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from resnet_deploy.results.operator_times import OperatorTime, Profile

_MOST_ROWS = 25


def render_profile(profile: Profile) -> Group:
    """Return the operators that take most, and a sentence on what kinds take."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"{profile.subject}: time by operator, batch size {profile.batch_size}, "
        f"{profile.threads} threads",
        title_justify="left",
        pad_edge=False,
    )
    table.add_column("module", overflow="fold", style="bold")
    table.add_column("kernel", overflow="fold")
    table.add_column("type", no_wrap=True)
    for header in ("ms", "share"):
        table.add_column(header, justify="right", no_wrap=True)
    ordered = sorted(profile.operators, key=lambda one: -one.ms)
    for one in ordered[:_MOST_ROWS]:
        table.add_row(one.module, one.kernel, one.kind.value, f"{one.ms:.3f}", _share(one, profile))
    rest = ordered[_MOST_ROWS:]
    if rest:
        ms = sum(one.ms for one in rest)
        share = f"{ms / (profile.total_ms or 1):.1%}"
        table.add_row(f"{len(rest)} more", "", "", f"{ms:.3f}", share, style="dim")
    return Group(table, Text(f"  {sentence(profile)}", style="bold"))


def sentence(profile: Profile) -> str:
    """Return in words where the time goes."""
    shares = profile.shares
    conversions = sum(one.kind.value == "conversion" for one in profile.operators)
    return (
        f"{profile.subject}: {profile.total_ms:.3f} ms in {len(profile.operators)} operators: "
        f"{shares['int8']:.1%} int8, {shares['float']:.1%} float, {shares['conversion']:.1%} in "
        f"{conversions} that only change type or layout (Quantize, Reorder, Transpose)"
    )


def _share(one: OperatorTime, profile: Profile) -> str:
    return f"{one.ms / (profile.total_ms or 1):.1%}"
