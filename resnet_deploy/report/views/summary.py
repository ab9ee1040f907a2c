"""Table 1 of the paper, for a network or a file, and the card of a file in words."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from resnet_deploy.artifact.card_json import converter
from resnet_deploy.report.document import Cell, Document, Notes, Section, Table
from resnet_deploy.report.words import versions, whole
from resnet_deploy.results import ModelSummary, Stage
from resnet_deploy.results.worth import LEAST_AGREEMENT, share_interval
from resnet_deploy.spec import InputContract, OutputKind, Overflow

_NAMES_SHOWN = 3
_DIGITS_SHOWN = 12
"""Of a SHA-256."""

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
            ("parameters", lambda stage: stage.parameters, whole),
            ("MACs", lambda stage: stage.macs, macs),
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
    text, *below = _LINE_BREAK.split(layers)
    return Cell(text, full=layers, below=tuple(below))


def _notes(summary: ModelSummary) -> tuple[str, ...]:
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
        counts = ", ".join(f"{count} {op}" for op, count in summary.op_counts.items())
        lines.append(f"operators: {counts}")
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


def card_lines(card: dict[str, Any]) -> list[str]:
    """Return what ``card``, as :meth:`Card.to_json` writes it, says: one fact a line."""
    steps = {step["name"]: step["options"] for step in card["steps"]}
    lines = [
        f"weights: {_weights(card['weights'])}",
        f"licence: {card['licence'] or 'not stated'}",
        f"input: {converter.structure(card['preprocess'], InputContract).sentence}",
        f"output: {_output(card)}",
    ]
    if card["assumed"]:
        lines.append(f"assumed: {', '.join(card['assumed'])}")
    if "quantize" in steps:
        lines.append(f"calibration: {_calibration(steps['quantize'])}")
        lines.append(f"overflow: {_overflow(steps['quantize'])}")
    lines += _fidelity(card["parity"])
    if OutputKind(card["output"]["kind"]).has_classes:
        found = "; ".join(map(_accuracy, card["accuracy"]))
        lines.append(f"accuracy: {found or 'not recorded (evaluate --data DIR --record)'}")
    if "quantize" in steps:
        proven = ", ".join(card["proven_isas"])
        lines.append(f"proven on: {proven or 'none (verify --isa ISA --data DIR --record)'}")
    if steps:
        lines.append("steps: " + ", ".join(step["name"] for step in card["steps"]))
    return [*lines, f"made with: {versions(card['versions'])}"]


def _weights(weights: dict[str, Any]) -> str:
    if weights["kind"] == "random":
        return f"random, seed {weights['seed']}"
    if weights["kind"] == "factory":
        return "made by the factory"
    return f"{weights['file']}, {_hash(weights['sha256'])}"


def _output(card: dict[str, Any]) -> str:
    kind = OutputKind(card["output"]["kind"])
    if not kind.has_names:
        return kind.value
    name = f"top {card['output']['k']}" if kind is OutputKind.TOP_K else kind.value
    labels = card["labels"][:_NAMES_SHOWN]
    names = f" ({', '.join(labels)}, …)" if labels else ", without names"
    return f"{name} of {card['model']['num_classes']:,} classes{names}"


def _calibration(options: dict[str, Any]) -> str:
    """Return how a quantize step got its ranges; older versions wrote fewer options."""
    data = options.get("data", "unknown data")
    if "samples" in options:
        images = "synthetic images" if options.get("synthetic") else f"images of {data}"
        count = options["samples"]
        count = f"{count:,}" if isinstance(count, int) else count
        data = f"{count} {images}, {_hash(str(options.get('data_sha256')))}"
    said = (("method", ""), ("effort", "effort "), ("target_isa", "for "))
    how = ", ".join(f"{word}{options[key]}" for key, word in said if key in options)
    return f"{data}; {how}"


def _overflow(options: dict[str, Any]) -> str:
    """Return what a quantize step says of sums of products; older versions said nothing."""
    found = Overflow.of(options.get("overflow"))
    return f"{found.value}: {found.guarantee}"


def _fidelity(parity: dict[str, float]) -> list[str]:
    """Return how close the file is to its reference; other figures by their names."""
    rest, lines = dict(parity), []
    if "fp32_relative" in rest:
        lines.append(f"fp32 parity: within {rest.pop('fp32_relative'):.3g} of the largest logit")
    for kind in ("int8", "fp16"):
        if f"{kind}_sqnr_db" not in rest or f"{kind}_samples" not in rest:
            continue
        text = f"{rest.pop(f'{kind}_sqnr_db'):.1f} dB above the noise"
        count = int(rest.pop(f"{kind}_samples"))
        samples = f"{count:,} images"
        if f"{kind}_agreement" in rest:
            share = rest.pop(f"{kind}_agreement")
            samples = f"the class of fp32 on {share:.1%} of {samples}"
            least, most = share_interval(round(share * count), count)
            if least < LEAST_AGREEMENT <= most:
                samples += ", too few to tell"
        if f"{kind}_relative" in rest:
            samples += f", within {rest.pop(f'{kind}_relative'):.3g} of the largest logit"
        lines.append(f"{kind} fidelity: {text}, {samples}")
    return [*lines, *(f"{name}: {value:.3g}" for name, value in rest.items())]


def _accuracy(measured: dict[str, Any]) -> str:
    samples, of, digest = measured["samples"], measured["of"], measured["data_sha256"]
    top5 = "" if measured["top5"] is None else f", top-5 {measured['top5']:.2%}"
    images = f"{samples:,}" if of in (None, samples) else f"{samples:,} of the {of:,}"
    source = measured["data"] if digest is None else f"{measured['data']} ({_hash(digest)})"
    return f"top-1 {measured['top1']:.2%}{top5} on {images} images of {source}"


def _hash(digest: str | None) -> str:
    return f"SHA-256 {str(digest)[:_DIGITS_SHOWN]}…"
