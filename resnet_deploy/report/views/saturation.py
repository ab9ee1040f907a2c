"""Where an int8 file overflows on x86 CPUs without VNNI."""

from __future__ import annotations

from resnet_deploy.report.chart import Bar, Bars
from resnet_deploy.report.document import Block, Document, Notes, Section, Table, Verdict
from resnet_deploy.report.words import file_name, plural, small_percent, some, whole
from resnet_deploy.results import LayerSaturation, SaturationReport

_NAMED = 3
"""Layers named in the verdict; the table has them all."""


def view(report: SaturationReport) -> Document:
    """Return the layers with weights that could overflow, and whether they did."""
    risky = [layer for layer in report.layers if layer.risky]
    sentences = (sentence(report),)
    return Document(
        topic="Overflow on CPUs without VNNI",
        title=file_name(report.model),
        verdict=Verdict("good", "Safe", sentences)
        if report.safe
        else Verdict("bad", "Overflows", sentences),
        sections=(Section("Layers", _blocks(risky, report)),),
        environment=report.environment,
    )


def sentence(report: SaturationReport) -> str:
    """Return whether the file gives the same answers on x86 CPUs without VNNI."""
    start = "safe on x86 without VNNI (AVX2):"
    if report.always_safe:
        return f"{start} yes, whatever the image"
    if report.safe:
        return f"{start} yes on {_images(report)}; made without --allow-overflow, it is always"
    named = tuple(
        f"{layer.name} ({small_percent(layer.touched_share)} of its outputs)"
        for layer in report.unsafe_layers
    )
    return (
        f"{start} no, because of {some(named, _NAMED)} on {_images(report)}; "
        "made without --allow-overflow, it is safe"
    )


def _blocks(risky: list[LayerSaturation], report: SaturationReport) -> tuple[Block, ...]:
    chart = Bars(
        "Outputs that an overflow changes",
        "% of a layer's outputs",
        [_bar(layer) for layer in risky],
        caption="Layers whose weights could overflow, and how many outputs really change.",
    )
    table = Table.of(
        f"Overflows of int16 on x86 CPUs without VNNI, {_images(report)}",
        risky,
        [
            ("module", lambda layer: layer.name),
            ("risky weight pairs", lambda layer: layer.risky, whole),
            ("of", lambda layer: layer.weight_pairs, whole),
            ("largest sum", lambda layer: layer.largest, whole),
            ("overflows", lambda layer: layer.overflows, whole),
            ("outputs touched", lambda layer: layer.touched_share, small_percent),
        ],
    )
    if not risky:
        return Notes(("no weights could overflow: nothing to count",)), table
    return chart, table


def _bar(layer: LayerSaturation) -> Bar:
    share = layer.touched_share
    return Bar(layer.name, 100 * share, small_percent(share), "bad" if layer.overflows else "plain")


def _images(report: SaturationReport) -> str:
    return f"{plural(report.images, 'image')} of {report.data}"
