"""A parity report as a page: does a file compute what its reference computes, layer by layer."""

from __future__ import annotations

import math

from resnet_deploy.report.html.charts.bars import Bar, bars
from resnet_deploy.report.html.layers import module_figures
from resnet_deploy.report.html.page import (
    Block,
    Figure,
    Page,
    Section,
    Table,
    Tile,
    Verdict,
    render_page,
)
from resnet_deploy.report.html.words import decibels, file_name
from resnet_deploy.report.parity import parity_verdict
from resnet_deploy.results import OutputDiff, ParityCase, ParityReport

_OPTIMIZATION = {"off": "as written", "all": "optimised"}


def parity_page(report: ParityReport) -> str:
    """Return the page of one artifact's comparisons."""
    sections = [Section(title="All comparisons", blocks=_cases(report))]
    if report.layers:
        sections.append(Section(title="Layer by layer", blocks=_layers(report)))
    agreements = [case.agreement for case in report.cases if case.agreement is not None]
    page = Page(
        topic="Parity",
        title=file_name(report.model),
        verdict=_verdict(report),
        tiles=(
            Tile(
                name="Largest difference",
                value=f"{report.worst().relative:.2g}",
                detail="of the largest value",
            ),
            Tile(name="Signal to noise", value=decibels(_noisiest(report)), detail="worst case"),
            Tile(
                name="Same top-1",
                value=f"{min(agreements):.2%}" if agreements else "no classes",
                detail="worst case" if agreements else "",
            ),
            Tile(name="Images", value=f"{report.samples:,}", detail=report.data),
        ),
        sections=tuple(sections),
        environment=report.environment,
    )
    return render_page(page)


def _noisiest(report: ParityReport) -> float:
    found = [case.worst.sqnr_db for case in report.cases]
    # min() would pass over a NaN that is not first.
    return next((one for one in found if math.isnan(one)), min(found))


def _verdict(report: ParityReport) -> Verdict:
    first = report.cases[0]
    word, _, rest = parity_verdict(report).plain.partition("  ")
    return Verdict(
        status="good" if report.passed else "bad",
        word=word,
        sentences=(f"{first.candidate} against {first.reference}, {rest}.",),
    )


def _case_name(case: ParityCase) -> str:
    level = _OPTIMIZATION.get(case.optimization, case.optimization)
    return f"batch {case.batch_size}, {level}"


def _cases(report: ParityReport) -> tuple[Block, ...]:
    rows = [_bar(_case_name(case), case.worst, failed=bool(case.failures)) for case in report.cases]
    tolerance = report.cases[0].tolerance
    chart = bars(
        rows,
        title="Signal to noise of the output, case by case",
        description="; ".join(f"{row.label}: {row.text}" for row in rows),
        axis="SQNR of the output in dB",
        bound=tolerance.min_sqnr_db,
    )
    caption = "Longer is closer to the reference" + (
        "." if tolerance.min_sqnr_db is None else "; the dashed line is the least that passes."
    )
    table = Table(
        caption="A batch size, and the graph as written or as ONNX Runtime optimises it",
        columns=("Case", "Images", "Largest relative", "SQNR", "Cosine", "Same top-1", "Verdict"),
        rows=tuple(
            (
                _case_name(case),
                f"{case.samples:,}",
                f"{case.relative:.2g}",
                decibels(case.worst.sqnr_db),
                f"{case.worst.cosine:.6f}",
                "" if case.agreement is None else f"{case.agreement:.2%}",
                "; ".join(case.failures) or "holds",
            )
            for case in report.cases
        ),
    )
    return Figure(chart=chart, caption=caption), table


def _layers(report: ParityReport) -> tuple[Block, ...]:
    tolerance = report.cases[0].tolerance
    rows = [_bar(one.name, one, failed=bool(one.failures(tolerance))) for one in report.layers]
    caption = "Signal to quantization noise behind each module, against the reference"
    if tolerance.min_sqnr_db is not None:
        caption += "; the dashed line is the least that passes, layers below it are set off"
    figures = module_figures(
        rows,
        what="SQNR by layer",
        axis="SQNR in dB",
        caption=f"{caption}.",
        bound=tolerance.min_sqnr_db,
    )
    table = Table(
        caption="Every layer in the order of the graph",
        columns=("Module", "Largest relative", "SQNR", "Cosine", "Verdict"),
        rows=tuple(
            (one.name, *_figures(one), "; ".join(one.failures(tolerance)) or "holds")
            for one in report.layers
        ),
    )
    return *figures, table


def _bar(label: str, diff: OutputDiff, *, failed: bool) -> Bar:
    style = "bad" if failed else "plain"
    return Bar(label=label, value=diff.sqnr_db, text=decibels(diff.sqnr_db), style=style)


def _figures(diff: OutputDiff) -> tuple[str, str, str]:
    return f"{diff.relative:.2g}", decibels(diff.sqnr_db), f"{diff.cosine:.6f}"
