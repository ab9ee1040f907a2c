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
        sections=(Section("How many times as long it takes", _blocks(report)),),
    )


def _sentence(report: RegressionReport) -> str:
    limit = f"{report.max_regress * 100:g} %"
    if slower := _names(report, ChangeVerdict.REGRESSION):
        return f"slower by more than {limit} beyond doubt: {slower}"
    if unclear := _names(report, ChangeVerdict.UNCLEAR):
        return (
            f"whether it got slower by more than {limit} can't be told for {unclear}: measure "
            "longer (--time-limit) or on an idle machine"
        )
    return f"nothing got slower by more than {limit}"


def _names(report: RegressionReport, verdict: ChangeVerdict) -> str:
    return ", ".join(dict.fromkeys(c.subject for c in report.changes if c.verdict is verdict))


def _blocks(report: RegressionReport) -> tuple[Block, ...]:
    chart = Forest(
        "Time after over time before",
        "times as long as before",
        [
            Estimate(
                f"{change.subject}, batch {change.batch_size}, {plural(change.threads, 'thread')}"
                + f", {change.instances}x" * (change.instances > 1),
                change.slowdown,
                (change.low, change.high),
                f"{times(change.slowdown)}, {change.verdict.value}",
                _TONES[change.verdict][1],
            )
            for change in report.changes
        ],
        caption="Further left is faster.",
        reference=1.0,
        log=True,
    )
    rates = all(change.throughput for change in report.changes)
    unit = "images/s" if rates else "ms an image"
    absolute = report.relative_to is None
    table = Table.of(
        "Every subject that both files have",
        report.changes,
        [
            ("subject", lambda change: change.subject),
            ("batch", lambda change: change.batch_size, str),
            ("threads", _threads),
            (f"{unit}, old", lambda c: _cost(c.before, rates=rates)) if absolute else None,
            ("new", lambda c: _cost(c.after, rates=rates)) if absolute else None,
            ("time", lambda change: change.slowdown - 1, "{:+.1%}".format),
            ("interval", _interval),
            ("verdict", lambda c: Cell(c.verdict.value, tone=_TONES[c.verdict][0])),
        ],
    )
    return chart, table, Notes(_cautions(report), "caution")


def _threads(change: Change) -> str:
    return f"{change.instances} x " * (change.instances > 1) + str(change.threads)


def _interval(change: Change) -> str:
    if not math.isfinite(change.high):
        return "too few rounds"
    return f"{change.low - 1:+.1%} to {change.high - 1:+.1%} ({change.confidence:.0%})"


def _cost(costs_ns: tuple[float, ...], *, rates: bool) -> Cell:
    middle = statistics.geometric_mean(costs_ns)
    return Cell.of(1e9 / middle, "{:.1f}".format) if rates else Cell.of(middle / 1e6, ms)


def _cautions(report: RegressionReport) -> tuple[str, ...]:
    lines = [f"the runs differ in {difference}" for difference in report.differences]
    if report.relative_to is not None:
        lines.insert(0, f"relative to {report.relative_to}")
    elif lines:
        lines.append("what the machine changed can be taken out with --relative-to LABEL")
    if not all(change.by_process for change in report.changes):
        lines.append(
            "a run has fewer than 4 processes per subject: the luck of a process is not in the "
            "interval"
        )
    return (*lines, *report.unmatched)
