"""Reshape of (N, C, 1, 1) or (N, C, H, W) to (N, C*H*W)  =>  Flatten(axis=1).

Flatten keeps the batch size dynamic whatever constant the exporter wrote for it.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from resnet_deploy.graph.constants import constant
from resnet_deploy.passes.result import PassResult, rewrite_each


def reshape_to_flatten(model: ir.Model) -> PassResult:
    """Replace every Reshape that keeps the first dimension and merges all others.

    Refuses when the target is computed at run time, or has other than two dimensions.
    """
    return rewrite_each(model, ("Reshape",), _replace)


def _replace(graph: ir.Graph, node: ir.Node) -> str | None:
    if (reason := _reason_against(node)) is not None:
        return reason
    flatten = ir.node(
        "Flatten", node.inputs[:1], attributes={"axis": 1}, metadata_props=dict(node.metadata_props)
    )
    ir.convenience.replace_nodes_and_values(
        graph, node, [node], [flatten], node.outputs, flatten.outputs
    )
    return None


def _reason_against(node: ir.Node) -> str | None:
    x, target = node.inputs[0], constant(node.inputs[1])
    if target is None:
        return "its target shape is computed at run time"
    if len(target) != 2:
        return f"its target has {len(target)} dimensions, not two"
    if x is None or x.shape is None or len(x.shape) < 2:
        return "the shape of its input is not known, or has less than two dimensions"
    sizes = [size for size in x.shape[1:] if isinstance(size, int)]
    if len(sizes) < len(x.shape) - 1:
        return "a dimension behind the first is dynamic"
    first, second = (int(size) for size in target)
    copies_zero = first == 0 and not node.attributes.get_int("allowzero", 0)
    keeps_first = copies_zero or first == -1 or first == x.shape[0]
    # (-1, -1) is not valid ONNX; (-1, rest) keeps N because the element count is fixed.
    if keeps_first and (second == math.prod(sizes) or (second == -1 and first != -1)):
        return None
    return "it does not keep the first dimension and merge all others"
