"""A file on the kernels of several CPUs."""

from __future__ import annotations

from resnet_deploy.report.chart import Bar, Bars
from resnet_deploy.report.document import Cell, Document, Section, Table, Verdict
from resnet_deploy.report.views.parity import failures_cell
from resnet_deploy.report.words import decibels, file_name, percent, whole
from resnet_deploy.results import IsaReport, IsaRun


def view(report: IsaReport) -> Document:
    """Return one row per instruction set, and the verdict."""
    chart = Bars(
        "Signal to noise on the kernels of other CPUs",
        "SQNR in dB against this CPU",
        [
            Bar(run.isa, run.logits.sqnr_db, _noise(run), "bad" if run.failures else "plain")
            for run in report.runs
        ],
        caption="Longer is closer to what this CPU computes; a dashed frame is equal to the bit.",
    )
    compared, tenth = report.reference is not None, "{:.1f}".format
    title = f"{report.model} on the kernels of other CPUs, against this CPU"
    table = Table.of(
        f"{title} and {report.reference} (ref.)" if compared else title,
        report.runs,
        [
            ("kernels", lambda run: run.isa),
            ("run by", lambda run: run.emulator or "this CPU"),
            ("images", lambda run: run.samples, whole),
            ("equal bits", _equal),
            ("SQNR", lambda run: run.logits.sqnr_db, decibels),
            ("top-1 =", lambda run: run.agreement, percent),
            ("ref. SQNR", _reference_db, decibels) if compared else None,
            ("ref. top-1 =", lambda run: run.reference_agreement, percent) if compared else None,
            ("seconds", lambda run: "cached" if run.cached else Cell.of(run.seconds, tenth)),
            ("verdict", lambda run: failures_cell(run.failures)),
        ],
        words=2,
    )
    return Document(
        topic="Other CPUs' kernels",
        title=file_name(report.model),
        verdict=Verdict.check(report.passed, _sentence(report)),
        sections=(Section("Instruction sets", (chart, table)),),
        environment=report.environment,
    )


def _sentence(report: IsaReport) -> str:
    """Return what is proven, or every instruction set and tolerance that does not hold."""
    if report.passed:
        return f"on {report.data}: proven on {', '.join(report.proven)}"
    failures = [f"{run.isa}: {', '.join(run.failures)}" for run in report.runs if run.failures]
    return f"on {report.data}: {'; '.join(failures)}"


def _equal(run: IsaRun) -> Cell:
    return Cell("all" if run.bit_identical else whole(run.identical_samples), run.identical_samples)


def _noise(run: IsaRun) -> str:
    return "equal bits" if run.bit_identical else decibels(run.logits.sqnr_db)


def _reference_db(run: IsaRun) -> float | None:
    return None if run.reference is None else run.reference.sqnr_db
