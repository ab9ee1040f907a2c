"""The card of a file in words: what its receiver should know."""

from __future__ import annotations

from typing import Any

from resnet_deploy.spec import InputFormat, OutputKind

_NAMES_SHOWN = 3
_DIGITS_SHOWN = 12
"""Of a SHA-256."""


def card_lines(card: dict[str, Any]) -> list[str]:
    """Return what ``card``, as :meth:`Card.to_json` writes it, says: one fact a line."""
    steps = {step["name"]: step["options"] for step in card["steps"]}
    return [
        f"weights: {_weights(card['weights'])}",
        f"licence: {card['licence'] or 'not stated'}",
        f"input: {_preprocessing(card['preprocess'])}",
        f"output: {_output(card)}",
        *(_calibration(steps["quantize"]) if "quantize" in steps else ()),
        *_fidelity(card["parity"]),
        *_accuracies(card),
        *(_proven(card["proven_isas"]) if "quantize" in steps else ()),
        *(["steps: " + ", ".join(step["name"] for step in card["steps"])] if steps else []),
        "made with: " + ", ".join(f"{name} {one}" for name, one in card["versions"].items()),
    ]


def _weights(weights: dict[str, Any]) -> str:
    if weights["kind"] == "random":
        return f"random, seed {weights['seed']}"
    if weights["kind"] == "factory":
        return "made by the factory"
    return f"{weights['file']}, {_hash(weights['sha256'])}"


def _preprocessing(spec: dict[str, Any]) -> str:
    size = f"{spec['crop']}x{spec['crop']}"
    steps = f"shorter side resized to {spec['resize']} ({spec['interpolation']}), centre {size}"
    scale = f"mean {_numbers(spec['mean'])}, std {_numbers(spec['std'])}"
    if spec["resize_in_graph"]:
        return f"RGB bytes of any picture; the graph does the rest: {steps}, {scale}"
    if spec["format"] == InputFormat.FLOAT_NCHW.value:
        return f"{steps}, RGB on [0, 1], {scale}"
    return f"{steps}, RGB bytes as {spec['format']}; the graph normalises: {scale}"


def _output(card: dict[str, Any]) -> str:
    kind = OutputKind(card["output"]["kind"])
    if not kind.has_names:
        return kind.value
    name = f"top {card['output']['k']}" if kind is OutputKind.TOP_K else kind.value
    labels = card["labels"][:_NAMES_SHOWN]
    names = f" ({', '.join(labels)}, …)" if labels else ", without names"
    return f"{name} of {card['model']['num_classes']:,} classes{names}"


def _calibration(options: dict[str, Any]) -> list[str]:
    """Return the line about a quantize step; older versions wrote fewer options."""
    data = options.get("data", "unknown data")
    if "samples" in options:
        images = "made-up pictures" if options.get("synthetic") else f"images of {data}"
        count = options["samples"]
        count = f"{count:,}" if isinstance(count, int) else count
        data = f"{count} {images}, {_hash(str(options.get('data_sha256')))}"
    said = (("method", ""), ("effort", "effort "), ("target_isa", "for "))
    how = ", ".join(f"{word}{options[key]}" for key, word in said if key in options)
    return [f"calibration: {data}; {how}"]


def _fidelity(parity: dict[str, float]) -> list[str]:
    """Return how close the file is to its reference; other figures by their names."""
    rest, lines = dict(parity), []
    if "fp32_relative" in rest:
        lines.append(f"fp32 parity: within {rest.pop('fp32_relative'):.3g} of the largest logit")
    if "int8_sqnr_db" in rest and "int8_samples" in rest:
        text = f"{rest.pop('int8_sqnr_db'):.1f} dB above the noise"
        samples = f"{int(rest.pop('int8_samples')):,} images"
        if "int8_agreement" in rest:
            samples = f"the class of fp32 on {rest.pop('int8_agreement'):.1%} of {samples}"
        lines.append(f"int8 fidelity: {text}, {samples}")
    return [*lines, *(f"{name}: {value:.3g}" for name, value in rest.items())]


def _accuracies(card: dict[str, Any]) -> list[str]:
    if not OutputKind(card["output"]["kind"]).has_classes:
        return []
    found = "; ".join(_accuracy(one) for one in card["accuracy"])
    return [f"accuracy: {found or 'not recorded (evaluate --data DIR --record)'}"]


def _accuracy(one: dict[str, Any]) -> str:
    top5 = "" if one["top5"] is None else f", top-5 {one['top5']:.2%}"
    part = one["of"] is not None and one["of"] != one["samples"]
    images = f"{one['samples']:,} of the {one['of']:,}" if part else f"{one['samples']:,}"
    digest = "" if one["data_sha256"] is None else f" ({_hash(one['data_sha256'])})"
    return f"top-1 {one['top1']:.2%}{top5} on {images} images of {one['data']}{digest}"


def _proven(isas: list[str]) -> list[str]:
    return [f"proven on: {', '.join(isas) or 'none (verify --isa ISA --data DIR --record)'}"]


def _hash(digest: str | None) -> str:
    return f"SHA-256 {str(digest)[:_DIGITS_SHOWN]}…"


def _numbers(values: list[float]) -> str:
    return " ".join(f"{value:g}" for value in values)
