"""A file on the kernels of several CPUs."""

from __future__ import annotations

from resnet_deploy.report.chart import Bar, Bars
from resnet_deploy.report.document import UNKNOWN, Cell, Document, Section, Table, Verdict
from resnet_deploy.report.views.parity import failures_cell
from resnet_deploy.report.words import decibels, file_name, percent, whole
from resnet_deploy.results import IsaReport, IsaRun


def view(report: IsaReport) -> Document:
    """Return one row per instruction set, and the verdict."""
    chart = Bars(
        title="Signal to noise on the kernels of other CPUs",
        axis="SQNR in dB against this CPU",
        caption="Longer is closer to what this CPU computes; a dashed frame is equal to the bit.",
        rows=tuple(
            Bar(
                label=run.isa,
                value=run.logits.sqnr_db,
                text="equal bits" if run.bit_identical else decibels(run.logits.sqnr_db),
                style="bad" if run.failures else "plain",
            )
            for run in report.runs
        ),
    )
    compared = report.reference is not None
    title = f"{report.model} on the kernels of other CPUs, against this CPU"
    table = Table.of(
        f"{title} and {report.reference} (ref.)" if compared else title,
        (
            "kernels",
            "run by",
            "images",
            "equal bits",
            "SQNR",
            "top-1 =",
            *(("ref. SQNR", "ref. top-1 =") if compared else ()),
            "seconds",
            "verdict",
        ),
        (_row(run, compared=compared) for run in report.runs),
        words=2,
    )
    return Document(
        topic="Other CPUs' kernels",
        title=file_name(report.model),
        verdict=Verdict.check(report.passed, _sentence(report)),
        sections=(Section(title="Instruction sets", blocks=(chart, table)),),
        environment=report.environment,
    )


def _sentence(report: IsaReport) -> str:
    """Return what is proven, or every instruction set and tolerance that does not hold."""
    if report.passed:
        return f"on {report.data}: proven on {', '.join(report.proven)}"
    failures = [f"{run.isa}: {', '.join(run.failures)}" for run in report.runs if run.failures]
    return f"on {report.data}: {'; '.join(failures)}"


def _row(run: IsaRun, *, compared: bool) -> list[Cell | str]:
    cells: list[Cell | str] = [
        run.isa,
        run.emulator or "this CPU",
        Cell.of(run.samples, whole),
        Cell("all" if run.bit_identical else whole(run.identical_samples), run.identical_samples),
        Cell.of(run.logits.sqnr_db, decibels),
        Cell.of(run.agreement, percent),
    ]
    if compared:
        reference = run.reference
        cells.append(UNKNOWN if reference is None else Cell.of(reference.sqnr_db, decibels))
        cells.append(Cell.of(run.reference_agreement, percent))
    seconds = Cell("cached") if run.cached else Cell.of(run.seconds, "{:.1f}".format)
    return [*cells, seconds, failures_cell(run.failures)]
