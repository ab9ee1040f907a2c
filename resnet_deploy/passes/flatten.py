"""Reshape of (N, C, 1, 1) or (N, C, H, W) to (N, C*H*W)  =>  Flatten(axis=1).

Flatten keeps the batch size dynamic whatever constant the exporter wrote for it.
"""

from __future__ import annotations

import onnx_ir as ir

from resnet_deploy.graph.constants import constant
from resnet_deploy.passes.result import PassResult, rewrite_each


def reshape_to_flatten(model: ir.Model) -> PassResult:
    """Replace every Reshape that keeps the first dimension and merges all others.

    Refuses when the target is computed at run time, or has other than two dimensions.
    """
    return rewrite_each(model.graph, ("Reshape",), _replace)


def _replace(graph: ir.Graph, node: ir.Node) -> str | None:
    if (reason := _reason_against(node)) is not None:
        return reason
    flatten = ir.node(
        "Flatten",
        [node.inputs[0]],
        attributes={"axis": 1},
        metadata_props=dict(node.metadata_props),
    )
    output, y = flatten.outputs[0], node.outputs[0]
    output.name, output.type, output.shape = y.name, y.type, y.shape
    graph.insert_before(node, flatten)
    ir.convenience.replace_all_uses_with(y, output, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    return None


def _reason_against(node: ir.Node) -> str | None:
    x, target = node.inputs[0], constant(node.inputs[1])
    if target is None:
        return "its target shape is computed at run time"
    if len(target) != 2:
        return f"its target has {len(target)} dimensions, not two"
    if x is None or x.shape is None or len(x.shape) < 2:
        return "the shape of its input is not known, or has less than two dimensions"
    allow_zero = node.attributes["allowzero"].as_int() if "allowzero" in node.attributes else 0
    first, second = (int(size) for size in target)
    rest = 1
    for dim in list(x.shape)[1:]:
        if not isinstance(dim, int):
            return "a dimension behind the first is dynamic"
        rest *= dim
    keeps_first = (first == 0 and not allow_zero) or first == -1 or first == x.shape[0]
    # (-1, -1) is not valid ONNX; (-1, rest) keeps N because the element count is fixed.
    if keeps_first and (second == rest or (second == -1 and first != -1)):
        return None
    return "it does not keep the first dimension and merge all others"
