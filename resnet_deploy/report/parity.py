"""A parity report as tables."""

from __future__ import annotations

import math

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from resnet_deploy.results import OutputDiff, ParityReport

_OPTIMIZATION = {"off": "none", "all": "all"}


def parity_report(report: ParityReport) -> RenderableType:
    """Return all cases, the layers if compared, and the verdict."""
    first = report.cases[0]
    table = Table(title=f"{first.candidate} against {first.reference}", title_justify="left")
    several = any(len(case.outputs) > 1 for case in report.cases)
    classes = any(case.agreement is not None for case in report.cases)
    table.add_column("optimisations")
    for heading in ("batch", "images", *(["output"] if several else [])):
        table.add_column(heading, justify="right")
    for heading in ("max rel.", "SQNR dB", "cosine", *(["top-1 ="] if classes else [])):
        table.add_column(heading, justify="right")
    table.add_column("")
    for case in report.cases:
        for number, output in enumerate(case.outputs):
            first_row = number == 0
            row: list[str | Text] = [_OPTIMIZATION[case.optimization], str(case.batch_size)]
            row.append(str(case.samples))
            if not first_row:
                row = [""] * len(row)
            row += [*([output.name] if several else []), *_figures(output)]
            if classes:
                row.append(_share(case.agreement) if first_row else "")
            row.append(_verdict(not case.failures) if first_row else "")
            table.add_row(*row)
    parts: list[RenderableType] = [table]
    if report.layers:
        parts.append(_layers(report))
    parts.append(parity_verdict(report))
    return Group(*parts)


def parity_verdict(report: ParityReport) -> Text:
    """Return one line: PASS, or FAIL and every tolerance that does not hold."""
    if report.passed:
        return Text(f"PASS  {len(report.cases)} cases on {report.data}: {_essence(report)}")
    failures = dict.fromkeys(failure for case in report.cases for failure in case.failures)
    drift = f"; the first layer that drifts is {report.first_drift}" if report.first_drift else ""
    return Text(f"FAIL  on {report.data}: {'; '.join(failures)}{drift}", style="bold")


def _essence(report: ParityReport) -> str:
    """Return the figure that counts: the worst difference of fp32, the noise of int8."""
    if report.cases[0].tolerance.max_relative is not None:
        return f"max relative difference {report.worst().relative:.2g}"
    largest = max(report.cases, key=lambda case: case.samples)
    samples = f"{largest.samples} image{'s' if largest.samples > 1 else ''}"
    worst = largest.worst
    name = f" ({worst.name})" if len(largest.outputs) > 1 else ""
    text = f"SQNR {decibels(worst)} dB, cosine {worst.cosine:.5f}{name}"
    if largest.agreement is None:
        return f"{text} on {samples}"
    return f"{text}, top-1 equal on {largest.agreement:.1%} of {samples}"


def _share(agreement: float | None) -> str:
    return "" if agreement is None else f"{agreement:.2%}"


def decibels(diff: OutputDiff) -> str:
    """Return the SQNR with one digit, or a dash when both are equal."""
    return f"{diff.sqnr_db:.1f}" if math.isfinite(diff.sqnr_db) else "∞"


def _figures(diff: OutputDiff) -> tuple[str, str, str]:
    return f"{diff.relative:.2g}", decibels(diff), f"{diff.cosine:.6f}"


def _verdict(passed: bool) -> Text:
    return Text("ok", style="green") if passed else Text("fails", style="bold red")


def _layers(report: ParityReport) -> Table:
    tolerance = report.cases[0].tolerance
    table = Table(title="layers, by torch module", title_justify="left")
    table.add_column("module")
    for heading in ("max rel.", "SQNR dB", "cosine"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for layer in report.layers:
        table.add_row(layer.name, *_figures(layer), _verdict(not layer.failures(tolerance)))
    return table
