"""A quantization as a page: what each layer would gain and cost in float."""

from __future__ import annotations

import math

from resnet_deploy.report.html.charts.bars import Bar
from resnet_deploy.report.html.charts.forest import Estimate, forest
from resnet_deploy.report.html.layers import module_figures
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
from resnet_deploy.report.html.words import decibels, file_name, milliseconds, times
from resnet_deploy.report.parity import parity_verdict
from resnet_deploy.report.sensitivity import budget_verdict, fidelity
from resnet_deploy.results import Deployment, LayerSensitivity, SensitivityReport

_MOST_TIMES = 30


def sensitivity_page(deployment: Deployment) -> str:
    """Return the page of one quantization, with its ranking of layers where there is one."""
    report = deployment.sensitivity
    sections = []
    if report is not None:
        title = "What each layer would bring back in float"
        sections.append(Section(title=title, blocks=_noise(report)))
        if report.layers:
            sections.append(Section(title="What it would cost", blocks=_cost(report)))
    page = Page(
        topic="Quantization, layer by layer",
        title=_title(deployment),
        verdict=_verdict(deployment),
        tiles=_tiles(report),
        sections=(*sections, *_search(deployment)),
        environment=deployment.environment,
    )
    return render_page(page)


def _title(deployment: Deployment) -> str:
    """Return the file made, or what it was made from where nothing was written."""
    made = [*deployment.files.values(), *(one.model for one in deployment.parity.values())]
    if deployment.sensitivity is not None:
        made.append(deployment.sensitivity.model)
    return file_name(made[0]) if made else "no file"


def _verdict(deployment: Deployment) -> Verdict:
    sentences = [
        f"{precision} against {report.cases[0].reference}: {parity_verdict(report).plain}."
        for precision, report in deployment.parity.items()
    ]
    if deployment.budget is not None:
        sentences.append(f"{budget_verdict(deployment.budget).plain}.")
    if deployment.verdict is not None:
        sentences.append(deployment.verdict.text)
    if not deployment.files:
        sentences.append("Nothing was written: a check failed.")
    return Verdict(
        status="good" if deployment.passed else "bad",
        word="PASS" if deployment.passed else "FAIL",
        sentences=tuple(f"{one[0].upper()}{one[1:]}" for one in sentences),
    )


def _tiles(report: SensitivityReport | None) -> tuple[Tile, ...]:
    if report is None or not report.layers:
        return ()
    int8 = report.layers[0].int8
    found = [
        Tile(
            name="Signal to noise, all int8",
            value=decibels(int8.sqnr_db),
            detail=f"{int8.samples:,} images of {int8.data}",
        ),
        Tile(name="Same top-1 as fp32", value=f"{int8.agreement:.2%}"),
        Tile(name="One run, all int8", value=milliseconds(report.layers[0].times.int8_ms)),
    ]
    best = report.layers[0]
    found.append(
        Tile(
            name="First to go to float",
            value=best.name,
            detail=f"{best.noise_removed:.1%} of the noise",
        )
    )
    return tuple(found)


def _noise(report: SensitivityReport) -> tuple[Block, ...]:
    if not report.layers:
        return (Notes(lines=("Only one layer runs in int8: there is nothing to rank.",)),)
    rows = [
        Bar(
            label=one.name,
            value=100 * one.noise_removed,
            text=_signed(100 * one.noise_removed, "{:+.1f} %"),
            style="plain" if one.noise_removed >= 0 else "bad",
        )
        for one in sorted(report.layers, key=lambda one: _natural(one.name))
    ]
    figures = module_figures(
        rows,
        what="Noise gone when a layer stays in float",
        axis="% of the noise in the logits that is gone",
        caption="One layer in float, all others in int8. Longer: the layer loses more in int8.",
    )
    labelled = report.layers[0].top1_gain is not None
    table = Table(
        caption="All layers, the one that gives most for its time first",
        columns=(
            "Layer",
            "SQNR gained",
            "Agreement, points",
            *(("Top-1, points",) if labelled else ()),
            "Noise gone",
            "Time lost",
            "Noise per ms",
        ),
        rows=tuple(_row(one, labelled=labelled) for one in report.layers),
    )
    whole = f"All int8: {fidelity(report.layers[0].int8)}."
    return *figures, table, Notes(lines=(whole, f"{report.method}; {report.seconds:.0f} s"))


def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort ``layer1.10`` behind ``layer1.9``."""
    return tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in name.split(".")
    )


def _row(one: LayerSensitivity, *, labelled: bool) -> tuple[str, ...]:
    low, high = one.times.interval
    lost = "about 0" if low <= 1 <= high else _signed(one.times.lost_ms, "{:+.3f} ms")
    return (
        " + ".join(one.modules),
        _signed(one.sqnr_gain_db, "{:+.2f} dB"),
        _signed(one.agreement_gain, "{:+.2f}"),
        *((_signed(one.top1_gain or 0.0, "{:+.2f}"),) if labelled else ()),
        _signed(100 * one.noise_removed, "{:+.1f} %"),
        lost,
        _signed(100 * one.gain_per_ms, "{:+,.0f} %"),
    )


def _signed(value: float, form: str) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "no noise left"
    text = form.format(value)
    # What rounds to zero has no sign.
    text = text if any(one in "123456789" for one in text) else text.lstrip("+-")
    return text.replace("-", "\N{MINUS SIGN}")


def _cost(report: SensitivityReport) -> tuple[Block, ...]:
    shown = report.layers[:_MOST_TIMES]
    rows = [
        Estimate(
            label=one.name,
            value=one.times.slowdown,
            low=one.times.interval[0],
            high=one.times.interval[1],
            text=times(one.times.slowdown),
            style=_style(one),
        )
        for one in shown
    ]
    chart = forest(
        rows,
        title="How many times as long a run takes with one layer in float",
        description="; ".join(f"{row.label}: {row.text}" for row in rows),
        axis="times as long as all int8",
        reference=1.0,
    )
    first = f"The first {_MOST_TIMES} layers of the ranking. " * (len(report.layers) > _MOST_TIMES)
    caption = f"{first}Where the interval crosses 1, no cost can be told."
    return (Figure(chart=chart, caption=caption),)


def _style(one: LayerSensitivity) -> str:
    low, high = one.times.interval
    return "muted" if low <= 1 <= high else "bad" if low > 1 else "good"


def _search(deployment: Deployment) -> tuple[Section, ...]:
    """Return what was tried to keep the accuracy budget."""
    budget = deployment.budget
    if budget is None or len(budget.trials) < 2:
        return ()
    int8_ms = next((one.times.int8_ms for one in budget.trials if one.times), 0.0)
    found = [
        Candidate(
            label=f"{len(one.float_layers)} in float",
            latency_ms=int8_ms + (one.times.lost_ms if one.times else 0.0),
            accuracy_drop=(
                100 * (1 - one.fidelity.agreement)
                if one.fidelity.drop is None
                else one.fidelity.drop
            ),
            on_front=False,
            chosen=one is budget.best,
        )
        for one in budget.trials
    ]
    return (pareto(found, title="The search for the budget"),)
