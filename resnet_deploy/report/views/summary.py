"""Table 1 of the paper, for a network or a file."""

from __future__ import annotations

import re
from dataclasses import replace

from resnet_deploy.report.document import Cell, Document, Notes, Section, Table
from resnet_deploy.report.views.card import card_lines
from resnet_deploy.report.words import whole
from resnet_deploy.results import ModelSummary, Stage

_LINE_BREAK = re.compile(r"; (?![^\[]*\])")
"""Between two parts of a stage, not inside the brackets of a block."""


def view(summary: ModelSummary) -> Document:
    """Return the stages; below them the paper's FLOPs, and a file's own facts."""
    # A graph without module names has one row per operator: no output sizes to show.
    sized = any(stage.output_size for stage in summary.stages)
    table = Table.of(
        summary.name,
        summary.stages,
        [
            ("stage" if sized else "operator", lambda stage: stage.name),
            ("output", lambda stage: stage.output_size) if sized else None,
            ("layers", _layers),
            ("parameters", lambda stage: Cell.of(stage.parameters, whole)),
            ("MACs", lambda stage: Cell.of(stage.macs, macs)),
        ],
        words=3 if sized else 2,
    )
    sums = Cell.of(summary.parameters, whole, "strong"), Cell.of(summary.macs, macs, "strong")
    total = (Cell("total", tone="strong"), *([Cell("")] * (table.words - 1)), *sums)
    table = replace(table, rows=(*table.rows, total))
    section = Section("Layers", (table, Notes(_notes(summary))))
    return Document(topic="Summary", title=summary.name, sections=(section,))


def _layers(stage: Stage) -> Cell:
    layers = stage.layers.replace(" x ", " \N{MULTIPLICATION SIGN}")
    return Cell(_LINE_BREAK.sub("\n", layers), full=layers)


def _notes(summary: ModelSummary) -> tuple[str, ...]:
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
        lines += card_lines(summary.card)
    elif summary.file_bytes is not None:
        lines.append("no card: another tool wrote this file")
    return tuple(lines)


def macs(count: float) -> str:
    """Return multiply-accumulates in the unit that suits them: ``3.664 G``, ``40.6 M``."""
    if count >= 1e9:
        return f"{count / 1e9:.3f} G"
    return f"{count / 1e6:.1f} M" if count >= 1e5 else f"{count:,}"
