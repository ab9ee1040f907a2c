"""What each layer would gain and cost in float, as a table; what a budget came to, as one line."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from resnet_deploy.report.evaluation import decibels, percent, points
from resnet_deploy.results import BudgetReport, Fidelity, LayerSensitivity, SensitivityReport

_SHOWN_LAYERS = 20
_NAMED_LAYERS = 3


def sensitivity_report(report: SensitivityReport) -> RenderableType:
    """Return the layers as a table, best first, and how they were measured."""
    if not report.layers:
        return Text("sensitivity: only one layer runs in int8, so there is nothing to rank")
    int8 = report.layers[0].int8
    table = Table(
        title=f"one layer in float, all others in int8: {_images(int8)}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("layer", overflow="fold")
    headings = ["SQNR gained", "agreement", *([] if int8.drop is None else ["top-1"])]
    for heading in (*headings, "noise gone", "ms lost", "noise per ms"):
        table.add_column(heading, justify="right")
    for layer in report.layers[:_SHOWN_LAYERS]:
        table.add_row(Text(" + ".join(layer.modules)), *_row(layer))
    hidden = len(report.layers) - _SHOWN_LAYERS
    more = [Text(f"  and {hidden} more: see --json")] if hidden > 0 else []
    return Group(
        table,
        *more,
        Text(f"  all int8: {fidelity(int8)}, {_milliseconds(report)}"),
        Text(f"  {report.method}; {report.seconds:.0f} s", style="dim"),
    )


def budget_verdict(report: BudgetReport) -> Text:
    """Return one line: PASS or FAIL, what was asked for, what was reached, and with what."""
    best = report.best
    wanted = []
    if report.max_drop is not None:
        wanted.append(f"at most {report.max_drop:g} points of top-1 lost")
    if report.min_agreement is not None:
        # Rounded, 0.9999 would read as all of them.
        wanted.append(f"same top-1 on {100 * report.min_agreement:g}%")
    layers = f"; {_float_layers(report.float_layers)}"
    if best.times is not None:
        layers += f" ({best.times.lost_ms:+.3g} ms, {best.times.slowdown:.2f}x)"
    reached = f"{fidelity(best.fidelity)} on {_images(best.fidelity)}{layers}"
    asked = " and ".join(wanted)
    if report.held:
        return Text(f"budget ({asked}): PASS  {reached}")
    return Text(f"budget ({asked}): FAIL  the best file reaches {reached}", style="bold")


def fidelity(found: Fidelity) -> str:
    """Return in words how close a file is to the fp32 one."""
    words = f"SQNR {decibels(found.sqnr_db)}, same top-1 {percent(found.agreement)}"
    if found.paired is None:
        return words
    low, high = found.paired.interval
    return (
        f"top-1 {points(found.paired.difference)} points (95 % CI {points(low)} to "
        f"{points(high)}), {words}"
    )


def _row(layer: LayerSensitivity) -> list[str]:
    cells = [f"{layer.sqnr_gain_db:+.2f} dB", f"{layer.agreement_gain:+.2f}"]
    if layer.top1_gain is not None:
        cells.append(f"{layer.top1_gain:+.2f}")
    low, high = layer.times.interval
    lost = "about 0" if low <= 1 <= high else f"{layer.times.lost_ms:+.3f}"
    return [*cells, f"{layer.noise_removed:+.1%}", lost, f"{layer.gain_per_ms:+,.0%}"]


def _milliseconds(report: SensitivityReport) -> str:
    return f"{report.layers[0].times.int8_ms:.2f} ms"


def _float_layers(names: tuple[str, ...]) -> str:
    if not names:
        return "all int8"
    noun = "layer" if len(names) == 1 else "layers"
    more = f" and {len(names) - _NAMED_LAYERS} more" if len(names) > _NAMED_LAYERS else ""
    return f"{len(names)} {noun} in float: {', '.join(names[:_NAMED_LAYERS])}{more}"


def _images(found: Fidelity) -> str:
    return f"{found.samples:,} image{'' if found.samples == 1 else 's'} of {found.data}"
