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
        "Time after over time before",
        "times as long as before",
        [
            Estimate(
                f"{one.subject}, batch {one.batch_size}, {plural(one.threads, 'thread')}"
                + f", {one.instances}x" * (one.instances > 1),
                one.slowdown,
                (one.low, one.high),
                f"{times(one.slowdown)}, {one.verdict.value}",
                _TONES[one.verdict][1],
            )
            for one in report.changes
        ],
        caption="Further left is faster.",
        reference=1.0,
        log=True,
    )
    rates = all(one.throughput for one in report.changes)
    unit = "images/s" if rates else "ms an image"
    absolute = report.relative_to is None
    table = Table.of(
        "Every subject that both files have",
        report.changes,
        [
            ("subject", lambda one: one.subject),
            ("batch", lambda one: Cell.of(one.batch_size, str)),
            ("threads", lambda one: f"{one.instances} x " * (one.instances > 1) + str(one.threads)),
            (f"{unit}, old", lambda one: _cost(one.before, rates=rates)) if absolute else None,
            ("new", lambda one: _cost(one.after, rates=rates)) if absolute else None,
            ("time", lambda one: Cell.of(one.slowdown - 1, "{:+.1%}".format)),
            ("interval", _interval),
            ("verdict", lambda one: Cell(one.verdict.value, tone=_TONES[one.verdict][0])),
        ],
    )
    return chart, table, Notes(_cautions(report), "caution")


def _interval(one: Change) -> str:
    if not math.isfinite(one.high):
        return "too few rounds"
    return f"{one.low - 1:+.1%} to {one.high - 1:+.1%} ({one.confidence:.0%})"


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
