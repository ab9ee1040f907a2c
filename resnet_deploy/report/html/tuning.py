"""A search for the best file as a page: what was tried, the front, and what to ship."""

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
    Tile,
    Verdict,
    render_page,
)
from resnet_deploy.report.html.pareto import Candidate, pareto
from resnet_deploy.report.html.words import file_name, megabytes, milliseconds, plural, times
from resnet_deploy.report.tuning import shipping, tuning_verdict
from resnet_deploy.results import Trial, TuningReport

_MOST_SPEEDS = 30


def tuning_page(report: TuningReport, file: str) -> str:
    """Return the page of one search, whose best file is at ``file``."""
    word, _, sentence = tuning_verdict(report).partition("  ")
    best = report.best
    ways = () if best is None else (_shipping(best, file),)
    page = Page(
        topic="Tuning",
        title=file_name(report.model),
        verdict=Verdict(
            status="good" if report.passed else "bad",
            word=word,
            sentences=(f"{sentence}.",),
        ),
        tiles=_tiles(report),
        sections=(
            *ways,
            pareto(_candidates(report), lost="% of images with another class than fp32"),
            Section(title="How many times as fast", blocks=_speeds(report)),
            Section(title="How it was searched", blocks=(Notes(lines=_notes(report)),)),
        ),
        environment=report.environment,
    )
    return render_page(page)


def _tiles(report: TuningReport) -> tuple[Tile, ...]:
    best = report.best
    if best is None:
        return ()
    drop = best.fidelity.drop
    return (
        Tile(
            name="One image",
            value=milliseconds(report.latency_ms(best)),
            detail=f"{times(best.speed)} as fast as the default",
        ),
        Tile(
            name="Same top-1 as fp32",
            value=f"{best.fidelity.agreement:.2%}",
            detail=plural(best.fidelity.samples, "image"),
        ),
        Tile(
            name="Top-1 lost",
            value="no labels" if drop is None else f"{drop:.2f}",
            detail="" if drop is None else "points",
        ),
        Tile(name="File", value=megabytes(best.file_bytes), detail=best.recipe.name),
    )


def _shipping(best: Trial, file: str) -> Section:
    return Section(
        title="What to ship, and how to run it", blocks=(Notes(lines=tuple(shipping(best, file))),)
    )


def _candidates(report: TuningReport) -> list[Candidate]:
    front, best = report.front, report.best
    return [
        Candidate(
            label=trial.name,
            # Names are too long for the chart; the table has both.
            mark=f"#{number}",
            latency_ms=report.latency_ms(trial),
            accuracy_drop=100 * (1 - trial.fidelity.agreement),
            file_mb=trial.file_bytes / 1e6,
            on_front=trial in front,
            chosen=trial is best,
        )
        for number, trial in enumerate(report.trials, 1)
    ]


def _speeds(report: TuningReport) -> tuple[Block, ...]:
    ordered = sorted(enumerate(report.trials, 1), key=lambda one: (-one[1].speed, one[0]))
    rows = [
        Estimate(
            label=f"#{number} {trial.name}",
            value=trial.speed,
            low=trial.speed_interval[0],
            high=trial.speed_interval[1],
            text="reference" if trial.ratio is None else times(trial.speed),
            style=_style(trial, report),
        )
        for number, trial in ordered[:_MOST_SPEEDS]
    ]
    chart = forest(
        rows,
        title="Speed of each trial against the default",
        description="; ".join(f"{row.label}: {row.text}" for row in rows),
        axis="times as fast as the default",
        reference=1.0,
        log=True,
    )
    table = Table(
        caption="Every trial, the fastest first",
        columns=("Trial", "Time", "Times as fast", "Same top-1", "Top-1 lost", "File", "Budget"),
        rows=tuple(_row(number, trial, report) for number, trial in ordered),
    )
    caption = (
        "Measured in turns with the default. Where the interval crosses the dashed line at 1, no "
        "difference can be told. Muted ones lose more than was allowed."
    )
    return Figure(chart=chart, caption=caption), table


def _style(trial: Trial, report: TuningReport) -> str:
    if trial is report.best:
        return "chosen"
    return "plain" if report.holds(trial) else "muted"


def _row(number: int, trial: Trial, report: TuningReport) -> tuple[str, ...]:
    low, high = trial.speed_interval
    drop = trial.fidelity.drop
    speed = f"{low:.2f} to {high:.2f}" if math.isfinite(high) else "too few rounds"
    return (
        f"#{number} {trial.name}",
        milliseconds(report.latency_ms(trial)),
        "reference" if trial.ratio is None else f"{times(trial.speed)} ({speed})",
        f"{trial.fidelity.agreement:.2%}",
        "" if drop is None else f"{drop:.2f}",
        megabytes(trial.file_bytes),
        "chosen" if trial is report.best else "holds" if report.holds(trial) else "missed",
    )


def _notes(report: TuningReport) -> tuple[str, ...]:
    limit = f"{report.spec.time_limit:g} s"
    short = (
        ()
        if report.complete
        else (f"the time limit of {limit} ended the search early: a longer one goes on from here",)
    )
    return (
        f"{plural(len(report.trials), 'trial')} on {report.data} in {report.seconds:.0f} s",
        "speeds are paired with the default's, in processes of their own, in turns; times are "
        "those of the default divided by them",
        *short,
        *(f"skipped {name}: {reason}" for name, reason in report.skipped.items()),
    )
