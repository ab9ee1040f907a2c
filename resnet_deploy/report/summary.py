"""Table 1 of the paper on a terminal."""

from __future__ import annotations

import re

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from resnet_deploy.report.card import card_lines
from resnet_deploy.results import ModelSummary, Stage

_LINE_BREAK = re.compile(r"; (?![^\[]*\])")
"""Between two parts of a stage, not inside the brackets of a block."""


def render(summary: ModelSummary) -> Group:
    """Return the stages as a table; below it the paper's FLOPs, and a file's own facts."""
    table = Table(
        title=Text(summary.name), box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False
    )
    # A graph without module names has one row per operator: no output sizes to show.
    sized = any(stage.output_size for stage in summary.stages)
    table.add_column("stage" if sized else "operator", no_wrap=True)
    if sized:
        table.add_column("output", justify="right", no_wrap=True)
    table.add_column("layers", overflow="fold")
    table.add_column("parameters", justify="right", no_wrap=True)
    table.add_column("MACs", justify="right", no_wrap=True)
    for stage in summary.stages:
        # Square brackets around a block are not markup.
        table.add_row(*map(Text, _cells(stage, sized=sized)))
    table.add_section()
    total = ["total", *([""] if sized else []), "", f"{summary.parameters:,}", macs(summary.macs)]
    table.add_row(*total, style="bold")
    return Group(table, *(Text(f"  {line}") for line in notes(summary)))


def notes(summary: ModelSummary) -> list[str]:
    """Return what is known beyond the table, one line each."""
    lines = []
    if summary.paper_flops is not None:
        ratio = summary.macs / summary.paper_flops - 1
        lines.append(
            f"the paper gives {summary.paper_flops / 1e9:.1f} billion FLOPs (multiply-adds), "
            f"we count {summary.macs / 1e9:.3f} ({ratio:+.1%})"
        )
    if summary.file_bytes is not None:
        lines.append(
            f"{summary.precision}, opset {summary.opset}, {summary.file_bytes / 1e6:.2f} MB, "
            f"ONNX Runtime {summary.min_onnxruntime} or later"
        )
    if summary.outputs:
        lines += [f"takes: {summary.input}", f"outputs: {', '.join(summary.outputs)}"]
    if summary.op_counts:
        lines.append(
            "operators: " + ", ".join(f"{count} {op}" for op, count in summary.op_counts.items())
        )
    if summary.card is not None:
        return lines + card_lines(summary.card)
    if summary.file_bytes is not None:
        lines.append("no card: another tool wrote this file")
    return lines


def macs(count: int) -> str:
    """Return multiply-accumulates in the unit that suits them: ``3.664 G``, ``40.6 M``."""
    if count >= 1e9:
        return f"{count / 1e9:.3f} G"
    return f"{count / 1e6:.1f} M" if count >= 1e5 else f"{count:,}"


def _cells(stage: Stage, *, sized: bool) -> list[str]:
    size = [stage.output_size] if sized else []
    layers = _LINE_BREAK.sub("\n", stage.layers).replace(" x ", " \N{MULTIPLICATION SIGN}")
    return [stage.name, *size, layers, f"{stage.parameters:,}", macs(stage.macs)]
