"""Two benchmarks of different days as a page: is the later one slower?"""

from __future__ import annotations

import math

from resnet_deploy.report.html.charts.forest import Estimate, forest
from resnet_deploy.report.html.page import (
    Block,
    Figure,
    Notes,
    Page,
    Section,
    Table,
    Verdict,
    render_page,
)
from resnet_deploy.report.html.words import file_name, plural, times
from resnet_deploy.results.regression import Change, ChangeVerdict, RegressionReport

_STYLES = {
    ChangeVerdict.REGRESSION: "bad",
    ChangeVerdict.UNCLEAR: "muted",
    ChangeVerdict.FINE: "plain",
    ChangeVerdict.FASTER: "good",
}


def regression_page(report: RegressionReport) -> str:
    """Return the page of a comparison; where it was measured is in the two files."""
    slower = [one for one in report.changes if one.verdict is ChangeVerdict.REGRESSION]
    limit = f"{100 * report.max_regress:g} %"
    sentence = f"{plural(len(slower), 'subject')} lost more than {limit}, beyond doubt."
    if not slower:
        sentence = f"No subject lost more than {limit} beyond doubt."
    page = Page(
        topic="Comparison of two benchmarks",
        title=f"{file_name(report.new)} against {file_name(report.old)}",
        verdict=Verdict(
            status="good" if report.passed else "bad",
            word="PASS" if report.passed else "FAIL",
            sentences=(sentence,),
        ),
        tiles=(),
        sections=(Section(title="How many times as long it takes", blocks=_blocks(report)),),
        environment=None,
    )
    return render_page(page)


def _blocks(report: RegressionReport) -> tuple[Block, ...]:
    rows = [
        Estimate(
            label=_name(one),
            value=one.slowdown,
            low=one.low,
            high=one.high,
            text=f"{times(one.slowdown)}, {one.verdict.value}",
            style=_STYLES[one.verdict],
        )
        for one in report.changes
    ]
    chart = forest(
        rows,
        title="Time after over time before",
        description="; ".join(f"{row.label}: {row.text}" for row in rows),
        axis="times as long as before",
        reference=1.0,
        log=True,
    )
    table = Table(
        caption="Every subject that both files have",
        columns=("Subject", "After over before", "Interval", "Verdict"),
        rows=tuple(
            (_name(one), times(one.slowdown), _interval(one), one.verdict.value)
            for one in report.changes
        ),
    )
    lines = [
        *([f"relative to {report.relative_to}"] if report.relative_to is not None else []),
        *(f"in one file only: {one}" for one in report.unmatched),
        *report.differences,
    ]
    notes = (Notes(lines=tuple(lines), caution=True),) if lines else ()
    return Figure(chart=chart, caption="Further left is faster."), table, *notes


def _name(one: Change) -> str:
    setting = f"batch {one.batch_size}, {plural(one.threads, 'thread')}"
    return f"{one.subject}, {setting}" + (f", {one.instances}x" if one.instances > 1 else "")


def _interval(one: Change) -> str:
    if not math.isfinite(one.high):
        return "too few processes"
    return f"{one.low:.3f} to {one.high:.3f} ({100 * one.confidence:.0f} %)"
