"""A parity report: does a file compute what its reference computes, layer by layer."""

from __future__ import annotations

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
from resnet_deploy.report.words import cosine, decibels, file_name, percent, plural, tenths, whole
from resnet_deploy.results import OutputDiff, ParityCase, ParityReport

_LEVELS = {"off": "as written", "all": "optimised"}


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
    cases = Section(f"All comparisons{of}", _cases(report), detail=detail)
    if not report.layers:
        return (cases,)
    return cases, Section(f"Layer by layer{of}", _layers(report), detail=detail)


def verdict_line(report: ParityReport) -> str:
    """Return PASS or FAIL and the sentence."""
    return f"{PASS if report.passed else FAIL}  {sentence(report)}"


def sentence(report: ParityReport) -> str:
    """Return the figure that counts, or every tolerance that does not hold."""
    left = "".join(f"; not compared: {reason}" for reason in report.not_compared)
    if report.passed:
        return f"{len(report.cases)} cases on {report.data}: {_essence(report)}{left}"
    failures = dict.fromkeys(failure for case in report.cases for failure in case.failures)
    drift = f"; the first layer that drifts is {report.first_drift}" if report.first_drift else ""
    return f"on {report.data}: {'; '.join(failures)}{drift}{left}"


def failures_cell(failures: tuple[str, ...]) -> Cell:
    """Return whether all bounds hold; where there is room, those that do not."""
    if failures:
        return Cell("fails", tone="bad", full="; ".join(failures))
    return Cell("ok", tone="good")


def _essence(report: ParityReport) -> str:
    """Return the figure that counts: the worst difference of fp32, the noise of int8."""
    if report.cases[0].tolerance.max_relative is not None:
        return f"max relative difference {report.worst().relative:.2g}"
    largest = max(report.cases, key=lambda case: case.samples)
    worst = largest.worst
    name = f" ({worst.name})" if len(largest.outputs) > 1 else ""
    text = f"SQNR {decibels(worst.sqnr_db)}, cosine {cosine(worst.cosine)}{name}"
    samples = plural(largest.samples, "image")
    if largest.mean_cosine is not None and largest.least_cosine is not None:
        text = (
            f"embedding: SQNR {decibels(worst.sqnr_db)}, cosine {cosine(largest.mean_cosine)} on "
            f"average and {cosine(largest.least_cosine)} at least"
        )
    if largest.agreement is None:
        return f"{text} on {samples}"
    share = tenths(largest.agreement)
    if largest.answer == "label":
        return f"{text}, {share} of the labels that either gives equal on {samples}"
    return f"{text}, {largest.answer} equal on {share} of {samples}"


def _tiles(report: ParityReport) -> tuple[Tile, ...]:
    agreements = [case.agreement for case in report.cases if case.agreement is not None]
    noisiest = min(case.worst.sqnr_db for case in report.cases)
    answer = report.cases[-1].answer
    cosines = [output.cosine for case in report.cases for output in case.outputs]
    same = Tile("Cosine", cosine(min(cosines)), "worst case")
    if agreements or answer == "top-1":
        text = percent(min(agreements)) if agreements else "no classes"
        same = Tile(f"Same {answer}", text, "worst case" if agreements else "")
    return (
        Tile("Largest difference", f"{report.worst().relative:.2g}", "of the largest value"),
        Tile("Signal to noise", decibels(noisiest), "worst case"),
        same,
        Tile("Images", f"{report.samples:,}", report.data),
    )


def _level(case: ParityCase) -> str:
    return _LEVELS.get(case.optimization, case.optimization)


def _cases(report: ParityReport) -> tuple[Block, ...]:
    bound = report.cases[0].tolerance.min_sqnr_db
    least = "." if bound is None else "; the dashed line is the least that passes."
    chart = Bars(
        "Signal to noise of the output, case by case",
        "SQNR of the output in dB",
        [
            _bar(f"batch {case.batch_size}, {_level(case)}", case.worst, case.failures)
            for case in report.cases
        ],
        caption=f"Longer is closer to the reference{least}",
        bound=bound,
    )
    first = report.cases[0]
    several = any(len(case.outputs) > 1 for case in report.cases)
    classes = any(case.agreement is not None for case in report.cases)
    # What is true of a case stands beside its first output.
    rows = [(case, output) for case in report.cases for output in case.outputs]
    table = Table.of(
        f"{first.candidate} against {first.reference}",
        rows,
        [
            ("graph", lambda row: _level(row[0])),
            ("output", lambda row: row[1].name) if several else None,
            ("batch", lambda row: row[0].batch_size, str),
            ("images", lambda row: row[0].samples, whole),
            ("max rel.", lambda row: row[1].relative, "{:.2g}".format),
            ("SQNR", lambda row: row[1].sqnr_db, decibels),
            ("cosine", lambda row: row[1].cosine, "{:.6f}".format),
            ("least cosine", lambda row: _of_case(row, Cell.of(row[0].least_cosine, cosine)))
            if first.cosines
            else None,
            (f"{first.answer} =", lambda row: _of_case(row, Cell.of(row[0].agreement, percent)))
            if classes
            else None,
            ("verdict", lambda row: _of_case(row, failures_cell(row[0].failures))),
        ],
        words=2 if several else 1,
    )
    return chart, table


def _of_case(row: tuple[ParityCase, OutputDiff], cell: Cell) -> Cell:
    case, output = row
    return cell if output is case.outputs[0] else Cell("")


def _layers(report: ParityReport) -> tuple[Block, ...]:
    tolerance = report.cases[0].tolerance
    caption = "Signal to quantization noise behind each module, against the reference"
    if tolerance.min_sqnr_db is not None:
        caption += "; the dashed line is the least that passes, layers below it are set off"
    charts = Bars.by_module(
        "SQNR by layer",
        "SQNR in dB",
        [_bar(layer.name, layer, layer.failures(tolerance)) for layer in report.layers],
        caption=f"{caption}.",
        bound=tolerance.min_sqnr_db,
    )
    table = Table.of(
        "Every layer by its torch module, in the order of the graph",
        report.layers,
        [
            ("module", lambda layer: layer.name),
            ("max rel.", lambda layer: layer.relative, "{:.2g}".format),
            ("SQNR", lambda layer: layer.sqnr_db, decibels),
            ("cosine", lambda layer: layer.cosine, "{:.6f}".format),
            ("verdict", lambda layer: failures_cell(layer.failures(tolerance))),
        ],
    )
    return *charts, table


def _bar(label: str, diff: OutputDiff, failures: tuple[str, ...]) -> Bar:
    return Bar(label, diff.sqnr_db, decibels(diff.sqnr_db), "bad" if failures else "plain")
