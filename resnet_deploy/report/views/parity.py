"""A parity report: does a file compute what its reference computes, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterator

from resnet_deploy.report.chart import Bar, Bars
from resnet_deploy.report.document import (
    FAIL,
    PASS,
    Block,
    Cell,
    Document,
    Section,
    Table,
    Tile,
    Verdict,
)
from resnet_deploy.report.views.layers import module_charts
from resnet_deploy.report.words import decibels, file_name, percent, plural, whole
from resnet_deploy.results import OutputDiff, ParityCase, ParityReport

_OPTIMIZATION = {"off": "as written", "all": "optimised"}


def view(report: ParityReport) -> Document:
    """Return one artifact's comparisons."""
    return Document(
        topic="Parity",
        title=file_name(report.model),
        verdict=Verdict.check(report.passed, sentence(report)),
        tiles=_tiles(report),
        sections=sections(report),
        environment=report.environment,
    )


def sections(report: ParityReport, *, of: str = "", detail: bool = False) -> tuple[Section, ...]:
    """Return all comparisons, and the layers where they were compared; ``of`` ends the titles."""
    cases = Section(title=f"All comparisons{of}", blocks=_cases(report), detail=detail)
    if not report.layers:
        return (cases,)
    return cases, Section(title=f"Layer by layer{of}", blocks=_layers(report), detail=detail)


def verdict_line(report: ParityReport) -> str:
    """Return PASS or FAIL and the sentence."""
    return f"{PASS if report.passed else FAIL}  {sentence(report)}"


def sentence(report: ParityReport) -> str:
    """Return the figure that counts, or every tolerance that does not hold."""
    if report.passed:
        return f"{len(report.cases)} cases on {report.data}: {_essence(report)}"
    failures = dict.fromkeys(failure for case in report.cases for failure in case.failures)
    drift = f"; the first layer that drifts is {report.first_drift}" if report.first_drift else ""
    return f"on {report.data}: {'; '.join(failures)}{drift}"


def failures_cell(failures: tuple[str, ...]) -> Cell:
    """Return whether all bounds hold; where there is room, those that do not."""
    return (
        Cell("fails", tone="bad", full="; ".join(failures)) if failures else Cell("ok", tone="good")
    )


def closeness(diff: OutputDiff) -> tuple[Cell, Cell, Cell]:
    """Return the cells below ``max rel.``, ``SQNR`` and ``cosine``."""
    return (
        Cell.of(diff.relative, "{:.2g}".format),
        Cell.of(diff.sqnr_db, decibels),
        Cell.of(diff.cosine, "{:.6f}".format),
    )


def _essence(report: ParityReport) -> str:
    """Return the figure that counts: the worst difference of fp32, the noise of int8."""
    if report.cases[0].tolerance.max_relative is not None:
        return f"max relative difference {report.worst().relative:.2g}"
    largest = max(report.cases, key=lambda case: case.samples)
    worst = largest.worst
    name = f" ({worst.name})" if len(largest.outputs) > 1 else ""
    text = f"SQNR {decibels(worst.sqnr_db)}, cosine {worst.cosine:.5f}{name}"
    samples = plural(largest.samples, "image")
    if largest.agreement is None:
        return f"{text} on {samples}"
    return f"{text}, top-1 equal on {largest.agreement:.1%} of {samples}"


def _tiles(report: ParityReport) -> tuple[Tile, ...]:
    agreements = [case.agreement for case in report.cases if case.agreement is not None]
    noises = [case.worst.sqnr_db for case in report.cases]
    # min() would pass over a NaN that is not first.
    noisiest = next((one for one in noises if math.isnan(one)), min(noises))
    return (
        Tile(
            name="Largest difference",
            value=f"{report.worst().relative:.2g}",
            detail="of the largest value",
        ),
        Tile(name="Signal to noise", value=decibels(noisiest), detail="worst case"),
        Tile(
            name="Same top-1",
            value=percent(min(agreements)) if agreements else "no classes",
            detail="worst case" if agreements else "",
        ),
        Tile(name="Images", value=f"{report.samples:,}", detail=report.data),
    )


def _level(case: ParityCase) -> str:
    return _OPTIMIZATION.get(case.optimization, case.optimization)


def _cases(report: ParityReport) -> tuple[Block, ...]:
    tolerance = report.cases[0].tolerance
    chart = Bars(
        title="Signal to noise of the output, case by case",
        axis="SQNR of the output in dB",
        caption="Longer is closer to the reference"
        + ("." if tolerance.min_sqnr_db is None else "; the dashed line is the least that passes."),
        bound=tolerance.min_sqnr_db,
        rows=tuple(
            _bar(f"batch {case.batch_size}, {_level(case)}", case.worst, failed=bool(case.failures))
            for case in report.cases
        ),
    )
    first = report.cases[0]
    several = any(len(case.outputs) > 1 for case in report.cases)
    classes = any(case.agreement is not None for case in report.cases)
    table = Table.of(
        f"{first.candidate} against {first.reference}",
        (
            "graph",
            *(("output",) if several else ()),
            "batch",
            "images",
            "max rel.",
            "SQNR",
            "cosine",
            *(("top-1 =",) if classes else ()),
            "verdict",
        ),
        (
            row
            for case in report.cases
            for row in _case_rows(case, several=several, classes=classes)
        ),
        words=2 if several else 1,
    )
    return chart, table


def _case_rows(case: ParityCase, *, several: bool, classes: bool) -> Iterator[list[Cell | str]]:
    for number, output in enumerate(case.outputs):
        first = number == 0
        row: list[Cell | str] = [_level(case), *([output.name] if several else [])]
        row += [Cell.of(case.batch_size, str), Cell.of(case.samples, whole), *closeness(output)]
        if classes:
            row.append(Cell.of(case.agreement, percent) if first else "")
        yield [*row, failures_cell(case.failures) if first else ""]


def _layers(report: ParityReport) -> tuple[Block, ...]:
    tolerance = report.cases[0].tolerance
    caption = "Signal to quantization noise behind each module, against the reference"
    if tolerance.min_sqnr_db is not None:
        caption += "; the dashed line is the least that passes, layers below it are set off"
    charts = module_charts(
        tuple(
            _bar(layer.name, layer, failed=bool(layer.failures(tolerance)))
            for layer in report.layers
        ),
        what="SQNR by layer",
        axis="SQNR in dB",
        caption=f"{caption}.",
        bound=tolerance.min_sqnr_db,
    )
    table = Table.of(
        "Every layer by its torch module, in the order of the graph",
        ("module", "max rel.", "SQNR", "cosine", "verdict"),
        (
            (layer.name, *closeness(layer), failures_cell(layer.failures(tolerance)))
            for layer in report.layers
        ),
    )
    return *charts, table


def _bar(label: str, diff: OutputDiff, *, failed: bool) -> Bar:
    style = "bad" if failed else "plain"
    return Bar(label=label, value=diff.sqnr_db, text=decibels(diff.sqnr_db), style=style)
