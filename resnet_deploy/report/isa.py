"""A file on the kernels of several CPUs, as a table."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from resnet_deploy.report.parity import decibels
from resnet_deploy.results import IsaReport, IsaRun


def isa_report(report: IsaReport) -> RenderableType:
    """Return one row per instruction set, and the verdict."""
    title = f"{report.model} on the kernels of other CPUs, against this CPU"
    if report.reference is not None:
        title += f" and {report.reference} (ref.)"
    table = Table(title=title, title_justify="left")
    headings = ["kernels", "run by", "images", "equal bits", "SQNR dB", "top-1 ="]
    if report.reference is not None:
        headings += ["ref. SQNR dB", "ref. top-1 ="]
    for number, heading in enumerate([*headings, "seconds"]):
        table.add_column(heading, justify="left" if number < 2 else "right")
    table.add_column("")
    for run in report.runs:
        table.add_row(*_cells(run, with_reference=report.reference is not None), _verdict(run))
    return Group(table, isa_verdict(report))


def isa_verdict(report: IsaReport) -> Text:
    """Return one line: PASS, or FAIL with every ISA and tolerance that does not hold."""
    if report.passed:
        return Text(f"PASS  on {report.data}: proven on {', '.join(report.proven)}")
    failures = [f"{run.isa}: {', '.join(run.failures)}" for run in report.runs if run.failures]
    return Text(f"FAIL  on {report.data}: {'; '.join(failures)}", style="bold")


def _cells(run: IsaRun, *, with_reference: bool) -> list[str]:
    cells = [
        run.isa,
        run.emulator or "this CPU",
        str(run.samples),
        "all" if run.bit_identical else str(run.identical_samples),
        decibels(run.logits),
        "-" if run.agreement is None else f"{run.agreement:.2%}",
    ]
    if with_reference:
        has = run.reference is not None and run.reference_agreement is not None
        cells.append(decibels(run.reference) if has and run.reference else "-")
        cells.append(f"{run.reference_agreement:.2%}" if has else "-")
    return [*cells, "cached" if run.cached else f"{run.seconds:.1f}"]


def _verdict(run: IsaRun) -> Text:
    return Text("fails", style="bold red") if run.failures else Text("ok", style="green")
