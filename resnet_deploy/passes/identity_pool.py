"""A pool over single pixels  =>  nothing.

``AdaptiveAvgPool2d(7)`` on a 7x7 picture, as in VGG at 224 pixels, is exported as AveragePool with
a 1x1 kernel. It copies, but in int8 it would cost a change of layout.
"""

from __future__ import annotations

import onnx_ir as ir

from resnet_deploy.graph.constants import ints
from resnet_deploy.passes.result import PassResult, Refusal


def remove_identity_pool(model: ir.Model) -> PassResult:
    """Remove every AveragePool and MaxPool with a 1x1 kernel, stride 1 and no padding.

    Refuses other strides and padding, a MaxPool that also gives indices, and a pool whose output is
    the graph's: it carries the output's name.
    """
    removed, refusals = 0, []
    for node in list(model.graph):
        pools = node.op_type in ("AveragePool", "MaxPool")
        if not pools or set(ints(node, "kernel_shape", ())) != {1}:
            continue
        if (reason := _reason_against(node)) is not None:
            refusals.append(Refusal.of(node, reason))
            continue
        source = node.inputs[0]
        assert source is not None, "a pool has an input"
        node.outputs[0].replace_all_uses_with(source)
        model.graph.remove(node, safe=True)
        removed += 1
    return PassResult(removed, tuple(refusals))


def _reason_against(node: ir.Node) -> str | None:
    if not set(ints(node, "strides", ())) <= {1}:
        return "its stride is not 1"
    if not set(ints(node, "pads", ())) <= {0}:
        return "it pads"
    if len(node.outputs) != 1:
        return "it gives indices as well"
    if node.outputs[0].is_graph_output():
        return "its output is the graph's"
    return None
