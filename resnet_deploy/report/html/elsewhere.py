"""What a file computes on other CPUs, as pages: their kernels, and where sums overflow."""

from __future__ import annotations

from resnet_deploy.report.html.charts.bars import Bar, bars
from resnet_deploy.report.html.page import (
    Block,
    Figure,
    Notes,
    Page,
    Section,
    Table,
    Verdict,
    render_page,
)
from resnet_deploy.report.html.words import decibels, file_name
from resnet_deploy.report.isa import isa_verdict
from resnet_deploy.report.saturation import saturation_verdict, share
from resnet_deploy.results import IsaReport, IsaRun, SaturationReport


def isa_page(report: IsaReport) -> str:
    """Return the page of one file on the kernels of several instruction sets."""
    word, _, rest = isa_verdict(report).plain.partition("  ")
    rows = [
        Bar(
            label=run.isa,
            value=run.logits.sqnr_db,
            text="equal bits" if run.bit_identical else decibels(run.logits.sqnr_db),
            style="bad" if run.failures else "plain",
        )
        for run in report.runs
    ]
    figure = Figure(
        chart=bars(
            rows,
            title="Signal to noise on the kernels of other CPUs",
            description="; ".join(f"{row.label}: {row.text}" for row in rows),
            axis="SQNR in dB against this CPU",
        ),
        caption="Longer is closer to what this CPU computes; a dashed frame is equal to the bit.",
    )
    table = Table(
        caption=f"Against this CPU and {report.reference or 'no other reference'}",
        columns=(
            "Kernels",
            "Run by",
            "Images",
            "Equal bits",
            "SQNR",
            "Same top-1",
            "SQNR to the reference",
            "Verdict",
        ),
        words=2,
        rows=tuple(_run_row(run) for run in report.runs),
    )
    page = Page(
        topic="Other CPUs' kernels",
        title=file_name(report.model),
        verdict=Verdict(
            status="good" if report.passed else "bad",
            word=word,
            sentences=(f"{rest[:1].upper()}{rest[1:]}.",),
        ),
        tiles=(),
        sections=(Section(title="Instruction sets", blocks=(figure, table)),),
        environment=report.environment,
    )
    return render_page(page)


def _run_row(run: IsaRun) -> tuple[str, ...]:
    return (
        run.isa,
        run.emulator or "this CPU",
        f"{run.samples:,}",
        f"{run.identical_samples:,}",
        decibels(run.logits.sqnr_db),
        f"{run.agreement:.2%}",
        "" if run.reference is None else decibels(run.reference.sqnr_db),
        "; ".join(run.failures) or "holds",
    )


def saturation_page(report: SaturationReport) -> str:
    """Return the page of the layers whose sums overflow on x86 CPUs without VNNI."""
    risky = [layer for layer in report.layers if layer.risky]
    blocks: tuple[Block, ...] = (Notes(lines=("No weights could overflow: nothing to count.",)),)
    if risky:
        rows = [
            Bar(
                label=layer.name,
                value=100 * layer.touched_share,
                text=share(layer.touched_share),
                style="bad" if layer.overflows else "plain",
            )
            for layer in risky
        ]
        figure = Figure(
            chart=bars(
                rows,
                title="Outputs that an overflow changes",
                description="; ".join(f"{row.label}: {row.text}" for row in rows),
                axis="% of a layer's outputs",
            ),
            caption="Layers whose weights could overflow, and how many outputs really change.",
        )
        table = Table(
            caption="Layers with weights that could overflow",
            columns=("Module", "Risky weight pairs", "Of", "Largest sum", "Overflows", "Touched"),
            rows=tuple(
                (
                    layer.name,
                    f"{layer.risky:,}",
                    f"{layer.weight_pairs:,}",
                    f"{layer.largest:,}",
                    f"{layer.overflows:,}",
                    share(layer.touched_share),
                )
                for layer in risky
            ),
        )
        blocks = (figure, table)
    sentence = saturation_verdict(report).plain
    page = Page(
        topic="Overflow on CPUs without VNNI",
        title=file_name(report.model),
        verdict=Verdict(
            status="good" if report.safe else "bad",
            word="Safe" if report.safe else "Overflows",
            sentences=(f"{sentence[0].upper()}{sentence[1:]}.",),
        ),
        tiles=(),
        sections=(Section(title="Layers", blocks=blocks),),
        environment=report.environment,
    )
    return render_page(page)
