"""A pool over single pixels  =>  nothing.

``AdaptiveAvgPool2d(7)`` on a 7x7 image, as in VGG at 224 pixels, is exported as AveragePool with
a 1x1 kernel. It copies, but in int8 it would cost a change of layout.
"""

from __future__ import annotations

import onnx_ir as ir

from resnet_deploy.graph.constants import ints
from resnet_deploy.passes.result import PassResult, rewrite_each


def remove_identity_pool(model: ir.Model) -> PassResult:
    """Remove every AveragePool and MaxPool with a 1x1 kernel, stride 1 and no padding.

    Refuses other strides and padding, a MaxPool that also gives indices, and a pool whose output is
    the graph's: it carries the output's name.
    """
    return rewrite_each(
        model,
        ("AveragePool", "MaxPool"),
        _remove,
        candidate=lambda pool: set(ints(pool, "kernel_shape", ())) == {1},
    )


def _remove(graph: ir.Graph, pool: ir.Node) -> str | None:
    if (reason := _reason_against(pool)) is None:
        source = pool.inputs[0]
        assert source is not None, "a pool has an input"
        pool.outputs[0].replace_all_uses_with(source)
        graph.remove(pool, safe=True)
    return reason


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
