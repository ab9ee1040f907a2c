"""Two benchmarks compared, as a table, a verdict, and what makes it doubtful."""

from __future__ import annotations

import math

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from resnet_deploy.results.regression import Change, ChangeVerdict, RegressionReport

_STYLES = {ChangeVerdict.REGRESSION: "bold red", ChangeVerdict.UNCLEAR: "yellow"}


def render_regression(report: RegressionReport) -> Group:
    """Return the table of changes, the verdict, and the cautions."""
    throughput = all(one.throughput for one in report.changes)
    unit = "images/s" if throughput else "ms an image"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("subject", overflow="fold", style="bold")
    columns = ["batch", "threads"]
    if report.relative_to is None:
        columns += [f"{unit}, old", "new"]
    for header in (*columns, "time", "interval", "verdict"):
        table.add_column(header, justify="right", no_wrap=True)
    for one in report.changes:
        instances = f"{one.instances} x " if one.instances > 1 else ""
        cells = [str(one.batch_size), f"{instances}{one.threads}"]
        if report.relative_to is None:
            cells += [_cost(one.before, throughput), _cost(one.after, throughput)]
        cells += [f"{one.slowdown - 1:+.1%}", _interval(one)]
        style = _STYLES.get(one.verdict, "")
        table.add_row(one.subject, *cells, Text(one.verdict.value, style=style))
    lines = [Text(f"  {sentence(report)}", style="bold")]
    lines += [Text(f"  {one}", style="yellow") for one in cautions(report)]
    return Group(table, *lines)


def sentence(report: RegressionReport) -> str:
    """Return the verdict in words."""
    limit = f"{report.max_regress * 100:g} %"
    slower = [one for one in report.changes if one.verdict is ChangeVerdict.REGRESSION]
    unclear = [one for one in report.changes if one.verdict is ChangeVerdict.UNCLEAR]
    if slower:
        names = ", ".join(dict.fromkeys(one.subject for one in slower))
        return f"slower by more than {limit} beyond doubt: {names}"
    if unclear:
        names = ", ".join(dict.fromkeys(one.subject for one in unclear))
        return (
            f"whether it got slower by more than {limit} can't be told for {names}: measure "
            "longer (--time-limit) or on an idle machine"
        )
    return f"nothing got slower by more than {limit}"


def cautions(report: RegressionReport) -> list[str]:
    """Return what makes the comparison doubtful."""
    lines = [f"the runs differ in {one}" for one in report.differences]
    if report.differences and report.relative_to is None:
        lines.append("what the machine changed can be taken out with --relative-to LABEL")
    if not all(one.by_process for one in report.changes):
        lines.append(
            "a run has fewer than 4 processes per subject: the luck of a process is not in the "
            "interval"
        )
    return lines + list(report.unmatched)


def _cost(costs_ns: tuple[float, ...], throughput: bool) -> str:
    middle = math.exp(sum(math.log(one) for one in costs_ns) / len(costs_ns))
    return f"{1e9 / middle:.1f}" if throughput else f"{middle / 1e6:.3f}"


def _interval(one: Change) -> str:
    if not math.isfinite(one.high):
        return "too few rounds"
    return f"{one.low - 1:+.1%} to {one.high - 1:+.1%}"
