"""Where an int8 file overflows on x86 CPUs without VNNI."""

from __future__ import annotations

from resnet_deploy.report.chart import Bar, Bars
from resnet_deploy.report.document import Block, Cell, Document, Notes, Section, Table, Verdict
from resnet_deploy.report.words import file_name, plural, small_percent, whole
from resnet_deploy.results import LayerSaturation, SaturationReport

_NAMED = 3
"""Layers named in the verdict; the table has them all."""


def view(report: SaturationReport) -> Document:
    """Return the layers with weights that could overflow, and whether they did."""
    risky = [layer for layer in report.layers if layer.risky]
    return Document(
        topic="Overflow on CPUs without VNNI",
        title=file_name(report.model),
        verdict=Verdict(
            status="good" if report.safe else "bad",
            word="Safe" if report.safe else "Overflows",
            sentences=(sentence(report),),
        ),
        sections=(Section(title="Layers", blocks=_blocks(risky, report)),),
        environment=report.environment,
    )


def sentence(report: SaturationReport) -> str:
    """Return whether the file gives the same answers on x86 CPUs without VNNI."""
    start = "safe on x86 without VNNI (AVX2):"
    if report.always_safe:
        return f"{start} yes, whatever the image"
    if report.safe:
        return f"{start} yes on {_images(report)}; --target-isa x86-avx2 makes it sure"
    unsafe = report.unsafe_layers
    named = ", ".join(_named(layer) for layer in unsafe[:_NAMED])
    more = f" and {len(unsafe) - _NAMED} more" if len(unsafe) > _NAMED else ""
    return (
        f"{start} no, because of {named}{more} on {_images(report)}; "
        "for such CPUs use --target-isa x86-avx2"
    )


def _blocks(risky: list[LayerSaturation], report: SaturationReport) -> tuple[Block, ...]:
    chart = Bars(
        title="Outputs that an overflow changes",
        axis="% of a layer's outputs",
        caption="Layers whose weights could overflow, and how many outputs really change.",
        rows=tuple(
            Bar(
                label=layer.name,
                value=100 * layer.touched_share,
                text=small_percent(layer.touched_share),
                style="bad" if layer.overflows else "plain",
            )
            for layer in risky
        ),
    )
    table = Table.of(
        f"Overflows of int16 on x86 CPUs without VNNI, {_images(report)}",
        ("module", "risky weight pairs", "of", "largest sum", "overflows", "outputs touched"),
        (
            (
                layer.name,
                Cell.of(layer.risky, whole),
                Cell.of(layer.weight_pairs, whole),
                Cell.of(layer.largest, whole),
                Cell.of(layer.overflows, whole, "bad" if layer.overflows else ""),
                Cell.of(layer.touched_share, small_percent),
            )
            for layer in risky
        ),
    )
    if not risky:
        return Notes(lines=("no weights could overflow: nothing to count",)), table
    return chart, table


def _named(layer: LayerSaturation) -> str:
    return f"{layer.name} ({small_percent(layer.touched_share)} of its outputs)"


def _images(report: SaturationReport) -> str:
    return f"{plural(report.images, 'image')} of {report.data}"
