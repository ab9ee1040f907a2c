"""A normalised input  =>  its 8-bit pixels, and a first convolution that takes them.

Images are normalised from pixels ``p`` of 0 to 255, as ``x = (p / 255 - mean) / std`` or otherwise.
One scale for all channels can't hit these values: rounding them again costs about half a step each,
and on small images that is the largest single error of an int8 network. So the graph goes back to
pixels, ``p = slope x + level`` (``255 std x + 255 mean`` here), and the first convolution takes the
normalisation into its weights: the same sums, but now a u8 code per pixel is exact.

Borders stay exact as well: where the convolution padded ``x`` with zeros, the graph does so itself,
before it goes back to pixels. ``Mul`` and ``Add`` cost nothing in the end, because QuantizeLinear
does both with a scale and a zero point per channel (:mod:`resnet_deploy.quantization.qdq`).

In float32 this rounds anew, and the pixels only are pixels if images are normalised as
``preprocess`` says: that is why it is no pass, and why it is not done where that is only assumed.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.graph.constants import (
    constant,
    insert_node,
    ints,
    new_initializer,
    optional_input,
    set_parameters,
)
from resnet_deploy.graph.layers import auto_pad
from resnet_deploy.graph.module_names import module_metadata
from resnet_deploy.passes.result import PassResult, Refusal
from resnet_deploy.spec import InputContract

PIXELS_KEY = "resnet_deploy.pixels"
"""Marks the node whose result are pixels, and says what one grey level is there.

Here this is the Add, with its Mul in front of it."""

_LAST_TO_FIRST = (0, 3, 1, 2)
"""The order of the Transpose behind an input ``(N, H, W, C)``."""

_VALUES = ("channel_order", "range", "mean", "std")
"""What a pixel becomes; the size and the resize don't matter here."""


def pixel_input(model: ir.Model, preprocess: InputContract) -> PassResult:
    """Let the convolution that reads the graph's input, or its SpaceToDepth, take pixels; in place.

    The input may be channels last, with a Transpose behind it. Refuses groups, ``auto_pad``,
    weights that are computed at run time, inputs of another number of channels than ``preprocess``
    says, inputs with a second consumer, and a normalisation that is assumed.
    """
    graph = model.graph
    x = graph.inputs[0]
    if (reason := _reason_against_input(x, preprocess)) is not None:
        return PassResult(refusals=(Refusal(str(x.name), reason),))
    source, consumer = _only_consumer(x)
    if preprocess.format.channels_last and consumer is not None:
        if consumer.op_type != "Transpose" or ints(consumer, "perm", ()) != _LAST_TO_FIRST:
            reason = "it is channels last, and no Transpose makes it channels first"
            return PassResult(refusals=(Refusal(str(x.name), reason),))
        source, consumer = _only_consumer(consumer.outputs[0])
    if consumer is not None and consumer.op_type == "SpaceToDepth":
        source, consumer = _only_consumer(consumer.outputs[0])
    if consumer is None:
        return PassResult(refusals=(Refusal(str(source.name), "several operators read it"),))
    if (reason := _reason_against(consumer)) is not None:
        return PassResult(refusals=(Refusal.of(consumer, reason),))
    _rewrite(graph, source, consumer, preprocess)
    return PassResult(1)


def _reason_against_input(x: ir.Value, preprocess: InputContract) -> str | None:
    if assumed := [name for name in _VALUES if name in preprocess.assumed]:
        return f"how its values come from pixels is assumed ({', '.join(assumed)})"
    axis = 3 if preprocess.format.channels_last else 1
    if x.shape is None or len(x.shape) != 4 or x.shape[axis] != preprocess.channels:
        return f"it is not known to be images of {preprocess.channels} channels"
    return None


def _only_consumer(value: ir.Value) -> tuple[ir.Value, ir.Node | None]:
    uses = list(value.uses())
    return value, uses[0].node if len(uses) == 1 else None


def _reason_against(node: ir.Node) -> str | None:
    if node.op_type != "Conv":
        return f"it reads the images, and is not a convolution but {node.op_type}"
    weight = constant(node.inputs[1])
    if weight is None or (len(node.inputs) > 2 and constant(node.inputs[2]) is None):
        return "its weights are computed at run time"
    if weight.ndim == 4 and is_ungrouped(node):
        return None
    return "it has groups or automatic padding, or is not over height and width"


def is_ungrouped(conv: ir.Node) -> bool:
    """Whether ``conv`` has one group and states its padding."""
    return conv.attributes.get_int("group", 1) == 1 and auto_pad(conv) == "NOTSET"


def _rewrite(graph: ir.Graph, source: ir.Value, conv: ir.Node, preprocess: InputContract) -> None:
    weight = constant(conv.inputs[1])
    assert weight is not None, "_reason_against wants constant weights"
    blocks = weight.shape[1] // preprocess.channels  # SpaceToDepth orders (row, column, channel)
    slope = np.tile(np.asarray(preprocess.slopes, np.float64), blocks)
    offset = np.tile(np.asarray(preprocess.levels, np.float64), blocks)

    def insert(op_type: str, value: ir.Value, by: Array, what: str) -> ir.Value:
        name = f"{conv.name}.{what}"
        operand = new_initializer(graph, f"{name}.by", by)
        return insert_node(
            graph,
            conv,
            op_type,
            [value, operand],
            name=name,
            dtype=value.dtype or ir.DataType.FLOAT,
            metadata=module_metadata(conv),
        )

    pads = ints(conv, "pads", (0, 0, 0, 0))
    value = source
    if any(pads) and offset.any():  # without an offset, a padded zero is a zero among pixels too
        widths = np.array([0, 0, *pads[:2], 0, 0, *pads[2:]], np.int64)
        value = insert("Pad", value, widths, "pad")
        conv.attributes["pads"] = ir.AttrInt64s("pads", [0] * len(pads))
    value = insert("Mul", value, slope.astype(np.float32).reshape(1, -1, 1, 1), "slope")
    value = insert("Add", value, offset.astype(np.float32).reshape(1, -1, 1, 1), "pixels")
    mark_pixels(value, 1)

    scaled = weight.astype(np.float64) / slope.reshape(1, -1, 1, 1)
    bias = constant(optional_input(conv, 2))
    shifted = (0.0 if bias is None else bias.astype(np.float64)) - np.einsum(
        "oihw,i->o", scaled, offset
    )
    conv.replace_input_with(0, value)
    set_parameters(graph, conv, f"{conv.name}.pixels", scaled, shifted)


def mark_pixels(value: ir.Value, level: float) -> None:
    """Mark the node that gives ``value`` as giving pixels; one grey level is ``level`` there."""
    producer = value.producer()
    assert producer is not None, "it was just inserted"
    producer.metadata_props[PIXELS_KEY] = str(level)
