"""Where an int8 file overflows on x86 CPUs without VNNI, as a table and as one line."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from resnet_deploy.results import LayerSaturation, SaturationReport

_NAMED = 3
"""Layers named in the verdict; the table has them all."""


def saturation_report(report: SaturationReport) -> RenderableType:
    """Return the layers with weights that could overflow, and the verdict below them."""
    risky = [layer for layer in report.layers if layer.risky]
    if not risky:
        return saturation_verdict(report)
    table = Table(
        title=f"overflows of int16 on x86 CPUs without VNNI, {_images(report)}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("module")
    for heading in ("risky weight pairs", "largest sum", "overflows", "outputs touched"):
        table.add_column(heading, justify="right")
    for layer in risky:
        table.add_row(
            Text(layer.name),
            f"{layer.risky:,} of {layer.weight_pairs:,}",
            f"{layer.largest:,}",
            f"{layer.overflows:,}",
            share(layer.touched_share) if layer.overflows else "",
        )
    return Group(table, saturation_verdict(report))


def saturation_verdict(report: SaturationReport) -> Text:
    """Return one line: whether the file gives the same answers on x86 CPUs without VNNI."""
    start = "safe on x86 without VNNI (AVX2):"
    if report.always_safe:
        return Text(f"{start} yes, whatever the image")
    if report.safe:
        return Text(f"{start} yes on {_images(report)}; --target-isa x86-avx2 makes it sure")
    unsafe = report.unsafe_layers
    named = ", ".join(_named(layer) for layer in unsafe[:_NAMED])
    more = f" and {len(unsafe) - _NAMED} more" if len(unsafe) > _NAMED else ""
    return Text(
        f"{start} no, because of {named}{more} on {_images(report)}; "
        "for such CPUs use --target-isa x86-avx2",
        style="bold",
    )


def share(value: float) -> str:
    """Return a share with two digits that count, never rounded to zero."""
    return f"{value:.2%}" if value >= 0.01 or value == 0 else f"{value * 100:.2g}%"


def _named(layer: LayerSaturation) -> str:
    return f"{layer.name} ({share(layer.touched_share)} of its outputs)"


def _images(report: SaturationReport) -> str:
    return f"{report.images:,} image{'' if report.images == 1 else 's'} of {report.data}"
