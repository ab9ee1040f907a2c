"""PRelu  =>  ``x + relu((a - 1) x)``; a Relu that no layer absorbs  =>  LeakyRelu.

For a slope ``a <= 1``: where ``x < 0``, ``(a - 1) x`` is positive and the sum is ``a x``; elsewhere
the second term is zero. A slope above 1 takes the second term off instead of adding it. ONNX
Runtime has no int8 kernel for PRelu, but it has for a depthwise 1x1 convolution with its Relu, and
for Add. If all slopes are the same, it is a LeakyRelu, which has one. So is a Relu, of slope 0: by
itself it has none, only as a part of the layer in front of it.

Measured on a Xeon with AMX, one thread, between two convolutions, microseconds: of 64 channels of
56x56, PRelu with its Q and DQ 238, the sum 79, LeakyRelu 27; of 256 channels of 14x14, 47, 25, 12.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from resnet_deploy.graph.constants import constant, optional_input
from resnet_deploy.graph.layers import absorbed_output
from resnet_deploy.passes.depthwise import channels_of, depthwise
from resnet_deploy.passes.result import PassResult, rewrite_each


def prelu_to_sum(model: ir.Model) -> PassResult:
    """Rewrite every PRelu of an image.

    Refuses slopes that are computed at run time or differ within a channel, and inputs whose
    channels are not known.
    """
    return rewrite_each(model, ("PRelu",), _replace)


def lone_relu(model: ir.Model) -> PassResult:
    """Make a LeakyRelu of every Relu that is not absorbed by the layer in front of it."""
    outputs = {node.outputs[0]: absorbed_output(node) for node in model.graph}
    absorbed = {behind for own, behind in outputs.items() if behind is not own}
    return rewrite_each(
        model,
        ("Relu",),
        lambda graph, node: _replace_by(graph, node, _leaky(node, 0.0)),
        candidate=lambda node: node.outputs[0] not in absorbed,
    )


def _leaky(node: ir.Node, slope: float) -> ir.Node:
    metadata = dict(node.metadata_props)
    return ir.node(
        "LeakyRelu", node.inputs[:1], {"alpha": slope}, name=node.name, metadata_props=metadata
    )


def _replace_by(graph: ir.Graph, node: ir.Node, *new: ir.Node) -> None:
    ir.convenience.replace_nodes_and_values(
        graph, node, [node], list(new), node.outputs, new[-1].outputs
    )


def _replace(graph: ir.Graph, node: ir.Node) -> str | None:
    x, slopes = node.inputs[0], constant(optional_input(node, 1))
    if slopes is None:
        return "its slopes are computed at run time"
    if slopes.size == 1 or np.ptp(slopes) == 0:
        _replace_by(graph, node, _leaky(node, float(slopes.flat[0])))
        return None
    channels = channels_of(x)
    if x is None or channels is None:
        return "its input is not known to be an image"
    if slopes.ndim < 3 or slopes.shape[-3:] != (channels, 1, 1) or slopes.size != channels:
        return "its slopes differ within a channel"
    below = slopes.reshape(-1).astype(np.float64) - 1
    name, metadata = str(node.name), dict(node.metadata_props)
    nothing = np.zeros(channels)
    bent = depthwise(graph, x, -np.abs(below), nothing, name=f"{name}.negative", metadata=metadata)
    relu = ir.node("Relu", [bent.outputs[0]], name=f"{name}.relu", metadata_props=metadata)
    new, term = [bent, relu], relu.outputs[0]
    term.name, term.type, term.shape = str(relu.name), x.type, x.shape
    if (below > 0).any():
        signs = np.where(below > 0, -1.0, 1.0)
        signed = depthwise(graph, term, signs, nothing, name=f"{name}.sign", metadata=metadata)
        new.append(signed)
        term = signed.outputs[0]
    add = ir.node("Add", [x, term], name=name, metadata_props=metadata)
    _replace_by(graph, node, *new, add)
    return None
