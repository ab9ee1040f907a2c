"""Channels that change places  =>  a 1x1 convolution that copies each to its new one.

ShuffleNet (arXiv:1707.01083, figure 1) shuffles by Reshape to ``(N, g, C / g, H, W)``, Transpose of
the two in the middle, and Reshape back; others write a Gather. In int8 the picture has its channels
last, and ONNX Runtime turns it round for each of these operators. As a convolution it stays as it
is: the weights are zeros and ones, so nothing is rounded.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from resnet_deploy.graph.constants import constant, ints, new_initializer
from resnet_deploy.passes.depthwise import channels_of
from resnet_deploy.passes.result import PassResult, rewrite_each
from resnet_deploy.passes.zero_pad_shortcut import COPIES_KEY

_MIDDLE = (0, 2, 1, 3, 4)
"""The order of the Transpose of ``(N, g, C / g, H, W)``."""

_MOST_CHANNELS = 1024
"""The convolution multiplies by all channels; for more of them moving is faster."""


def channel_shuffle(model: ir.Model) -> PassResult:
    """Rewrite every shuffle of the channels of an image, and every Gather along them.

    Refuses channels that are not known or more than 1024, and places that are computed at run time.
    """
    return rewrite_each(model, ("Transpose", "Gather"), _replace, candidate=_moves_channels)


def _moves_channels(node: ir.Node) -> bool:
    if node.op_type == "Gather":
        return node.attributes.get_int("axis", 0) == 1 and channels_of(node.inputs[0]) is not None
    return ints(node, "perm", ()) == _MIDDLE


def _replace(graph: ir.Graph, node: ir.Node) -> str | None:
    gathers = node.op_type == "Gather"
    first = node if gathers else (node.inputs[0].producer() if node.inputs[0] else None)
    last = node if gathers else _only_reader(node)
    if first is None or last is None:
        return "no Reshape is on both of its sides"
    x, output = first.inputs[0], last.outputs[0]
    channels = channels_of(x)
    if x is None or channels is None or channels > _MOST_CHANNELS:
        return f"its channels are not known, or more than {_MOST_CHANNELS}"
    sources = _sources(node, channels) if gathers else _shuffled(first, node, last, channels)
    if sources is None:
        return "it is not a shuffle of channels, or computed at run time"
    weight = np.zeros((len(sources), channels, 1, 1), np.float32)
    weight[np.arange(len(sources)), sources] = 1
    name = str(node.name)
    inputs = [
        x,
        new_initializer(graph, f"{name}.weight", weight),
        new_initializer(graph, f"{name}.bias", np.zeros(len(sources), np.float32)),
    ]
    conv = ir.node(
        "Conv",
        inputs,
        {"kernel_shape": (1, 1)},
        name=name,
        metadata_props={**node.metadata_props, COPIES_KEY: "1"},
    )
    old = [node] if gathers else [first, node, last]
    ir.convenience.replace_nodes_and_values(graph, last, old, [conv], [output], conv.outputs)
    return None


def _only_reader(node: ir.Node) -> ir.Node | None:
    uses = list(node.outputs[0].uses())
    return uses[0].node if len(uses) == 1 and not node.outputs[0].is_graph_output() else None


def _sources(gather: ir.Node, channels: int) -> NDArray[np.int64] | None:
    """Return, for every channel of the output, which one of the input it is."""
    places = constant(gather.inputs[1])
    if (
        places is None
        or places.ndim != 1
        or not ((-channels <= places) & (places < channels)).all()
    ):
        return None
    return np.asarray(places % channels, np.int64)


def _shuffled(
    split: ir.Node, turn: ir.Node, join: ir.Node, channels: int
) -> NDArray[np.int64] | None:
    apart, x, output = split.outputs[0], split.inputs[0], join.outputs[0]
    whole = split.op_type == join.op_type == "Reshape" and len(apart.uses()) == 1
    if not whole or apart.is_graph_output() or apart.shape is None or len(apart.shape) != 5:
        return None
    groups, width = apart.shape[1], apart.shape[2]
    if not (isinstance(groups, int) and isinstance(width, int) and groups * width == channels):
        return None
    if x is None or x.shape is None or output.shape is None or len(output.shape) != 4:
        return None
    if output.shape[1:] != x.shape[1:] or apart.shape[3:] != x.shape[2:]:
        return None
    return np.arange(channels).reshape(groups, width).T.ravel()
