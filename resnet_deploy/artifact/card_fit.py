"""Whether a card is of the graph that it lies in: a card may come from anywhere, and be another's.

The graph is what happens. What a card says of it is believed where the graph can't tell, and
refused where it tells something else.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from resnet_deploy.artifact.card import Card
from resnet_deploy.artifact.model_file import TensorSpec
from resnet_deploy.graph.meaning import Meaning
from resnet_deploy.spec import Family, OutputKind

_LAYERS = ("Conv", "ConvInteger", "FusedConv", "QLinearConv")
_SUMS = ("Add", "QLinearAdd", "Sum")
_COPIED = ("Cast", "DequantizeLinear", "Identity", "QuantizeLinear")
"""Operators that leave a constant one."""

_VGG_LAYERS = 16

_PARTS = 2
"""Sums of tensors that come in two parts, where the residual stream is in float: the first, the
pooled one."""


def misfit(
    card: Card,
    graph: onnx.GraphProto,
    image: TensorSpec,
    outputs: tuple[TensorSpec, ...],
    meaning: Meaning,
    kind: OutputKind | None,
) -> str | None:
    """Return what ``card`` says and the ``graph`` it lies in contradicts, in words; None: nothing.

    Args:
        card: as it was read.
        graph: in its canonical spelling.
        image: its input, as the file takes it.
        outputs: what the file gives.
        meaning: what the graph tells of its answer.
        kind: what the answer is taken for.
    """
    problems = (_input(card, image), _answer(card, outputs, meaning, kind), _network(card, graph))
    return next((found for part in problems for found in part), None)


def _input(card: Card, image: TensorSpec) -> Iterator[str]:
    contract = card.preprocess
    if contract.format.is_float != image.dtype.startswith(("float", "bfloat")):
        yield f"an input of {contract.format.value}, and the graph takes {image.dtype}"
    said: tuple[int | None, ...] = contract.shape
    if contract.resize_in_graph:
        said = tuple(None if size in (contract.height, contract.width) else size for size in said)
    if any(size not in (None, own) for size, own in zip(image.shape[1:], said, strict=True)):
        words = "any size" if contract.resize_in_graph else list(contract.shape)
        yield f"images of {words}, and the graph takes {image}"


def _answer(
    card: Card, outputs: tuple[TensorSpec, ...], meaning: Meaning, kind: OutputKind | None
) -> Iterator[str]:
    classes, values = card.model.num_classes, meaning.values
    if card.output.kind is OutputKind.TOP_K:
        width = outputs[0].shape[-1] if outputs[0].shape else None
        if len(outputs) != 2 or width not in (None, card.output.k):
            yield f"{card.output.name}, and the graph gives {', '.join(map(str, outputs))}"
    elif card.output.kind is OutputKind.SOFTMAX and meaning.kind is OutputKind.LOGITS:
        yield f"probabilities, and the graph gives {outputs[0]}"
    elif kind is not None and kind.has_names and values and not outputs[0].is_integer:
        two = values == 1  # one value of two classes
        if classes and classes != values and not (two and classes == 2):
            yield f"{classes} classes, and the graph gives {values} values"
        if card.labels and len(card.labels) != values and not (two and len(card.labels) == 2):
            yield f"{len(card.labels)} class names, and the graph gives {values} values"


def _network(card: Card, graph: onnx.GraphProto) -> Iterator[str]:
    model = card.model
    if model.family is Family.CUSTOM:
        return
    layers = sum(node.op_type in _LAYERS for node in graph.node)
    sums = _sums(graph)
    blocks = sum(model.residual.blocks) if model.is_residual else 0
    if model.plain or not model.is_residual:
        fits = sums <= _PARTS and layers >= (model.depth - 2 if model.plain else _VGG_LAYERS)
    elif model.family is Family.RESIDUAL:
        fits = sums >= blocks  # a PReLU may have become a sum
    else:
        fits = blocks <= sums <= 2 * blocks + _PARTS
    if not fits:
        yield (f"{model.name}, and the graph has {layers} convolutions and {sums} residual sums")


def _sums(graph: onnx.GraphProto) -> int:
    """Return how many nodes of ``graph`` add what is computed to what is computed."""
    constant = {tensor.name for tensor in graph.initializer}
    count = 0
    for node in graph.node:
        if node.op_type == "Constant" or (
            node.op_type in _COPIED and all(name in constant for name in node.input if name)
        ):
            constant.update(node.output)
        # QLinearAdd takes scales and zero points besides, which are constants.
        computed = [name for name in node.input if name and name not in constant]
        count += node.op_type in _SUMS and len(computed) > 1
    return count
