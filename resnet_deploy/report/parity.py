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
    for heading in ("optimisations", "batch", "images", "max rel.", "SQNR dB", "cosine", "top-1 ="):
        table.add_column(heading, justify="left" if heading == "optimisations" else "right")
    table.add_column("")
    for case in report.cases:
        table.add_row(
            _OPTIMIZATION[case.optimization],
            str(case.batch_size),
            str(case.logits.samples),
            *_figures(case.logits),
            f"{case.agreement:.2%}",
            _verdict(not case.failures),
        )
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
        return f"max relative difference {report.worst().logits.relative:.2g}"
    largest = max(report.cases, key=lambda case: case.logits.samples)
    samples = f"{largest.logits.samples} image{'s' if largest.logits.samples > 1 else ''}"
    return (
        f"SQNR {decibels(largest.logits)} dB, cosine {largest.logits.cosine:.5f}, "
        f"top-1 equal on {largest.agreement:.1%} of {samples}"
    )


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
