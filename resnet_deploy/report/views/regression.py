"""Two benchmarks compared: is the later one slower?"""

from __future__ import annotations

import math
import statistics

from resnet_deploy.report.chart import Estimate, Forest
from resnet_deploy.report.document import (
    Block,
    Cell,
    Document,
    Notes,
    Section,
    Table,
    Tone,
    Verdict,
)
from resnet_deploy.report.words import file_name, ms, plural, times
from resnet_deploy.results import Change, ChangeVerdict, RegressionReport

_TONES: dict[ChangeVerdict, tuple[Tone, str]] = {
    ChangeVerdict.REGRESSION: ("bad", "bad"),
    ChangeVerdict.UNCLEAR: ("caution", "muted"),
    ChangeVerdict.FINE: ("", "plain"),
    ChangeVerdict.FASTER: ("good", "good"),
}
"""The tone of a cell, and the style of an estimate in a chart."""


def view(report: RegressionReport) -> Document:
    """Return the changes; where they were measured is in the two files."""
    return Document(
        topic="Comparison of two benchmarks",
        title=f"{file_name(report.new)} against {file_name(report.old)}",
        verdict=Verdict.check(report.passed, _sentence(report)),
        sections=(Section(title="How many times as long it takes", blocks=_blocks(report)),),
    )


def _sentence(report: RegressionReport) -> str:
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


def _blocks(report: RegressionReport) -> tuple[Block, ...]:
    chart = Forest(
        title="Time after over time before",
        axis="times as long as before",
        caption="Further left is faster.",
        reference=1.0,
        log=True,
        rows=tuple(
            Estimate(
                label=f"{one.subject}, batch {one.batch_size}, {plural(one.threads, 'thread')}"
                + f", {one.instances}x" * (one.instances > 1),
                value=one.slowdown,
                low=one.low,
                high=one.high,
                text=f"{times(one.slowdown)}, {one.verdict.value}",
                style=_TONES[one.verdict][1],
            )
            for one in report.changes
        ),
    )
    rates = all(one.throughput for one in report.changes)
    absolute = report.relative_to is None
    unit = "images/s" if rates else "ms an image"
    table = Table.of(
        "Every subject that both files have",
        (
            "subject",
            "batch",
            "threads",
            *((f"{unit}, old", "new") if absolute else ()),
            "time",
            "interval",
            "verdict",
        ),
        (_row(one, rates=rates, absolute=absolute) for one in report.changes),
    )
    cautions = _cautions(report)
    return chart, table, *((Notes(lines=cautions, tone="caution"),) if cautions else ())


def _row(one: Change, *, rates: bool, absolute: bool) -> list[Cell | str]:
    instances = f"{one.instances} x " if one.instances > 1 else ""
    costs = (one.before, one.after) if absolute else ()
    interval = f"{one.low - 1:+.1%} to {one.high - 1:+.1%} ({one.confidence:.0%})"
    return [
        one.subject,
        str(one.batch_size),
        f"{instances}{one.threads}",
        *(_cost(cost, rates=rates) for cost in costs),
        Cell(f"{one.slowdown - 1:+.1%}", one.slowdown - 1),
        Cell(interval if math.isfinite(one.high) else "too few rounds"),
        Cell(one.verdict.value, tone=_TONES[one.verdict][0]),
    ]


def _cost(costs_ns: tuple[float, ...], *, rates: bool) -> Cell:
    middle = statistics.geometric_mean(costs_ns)
    return Cell.of(1e9 / middle, "{:.1f}".format) if rates else Cell.of(middle / 1e6, ms)


def _cautions(report: RegressionReport) -> tuple[str, ...]:
    """Return what makes the comparison doubtful."""
    lines = []
    if report.relative_to is not None:
        lines.append(f"relative to {report.relative_to}")
    lines += [f"the runs differ in {one}" for one in report.differences]
    if report.differences and report.relative_to is None:
        lines.append("what the machine changed can be taken out with --relative-to LABEL")
    if not all(one.by_process for one in report.changes):
        lines.append(
            "a run has fewer than 4 processes per subject: the luck of a process is not in the "
            "interval"
        )
    return (*lines, *report.unmatched)
