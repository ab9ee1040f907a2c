"""Reshape of (N, C, 1, 1) or (N, C, H, W) to (N, C*H*W)  =>  Flatten(axis=1).

Flatten keeps the batch size dynamic whatever constant the exporter wrote for it.
"""

from __future__ import annotations

import onnx_ir as ir

from resnet_deploy.graph.constants import constant


def reshape_to_flatten(model: ir.Model) -> int:
    """Replace every Reshape that keeps the first dimension and merges all others.

    Refuses when the target is computed at run time, or has other than two dimensions.
    """
    replaced = 0
    for node in list(model.graph):
        if node.op_type == "Reshape" and _merges_all_but_first(node):
            flatten = ir.node(
                "Flatten",
                [node.inputs[0]],
                attributes={"axis": 1},
                metadata_props=dict(node.metadata_props),
            )
            output, y = flatten.outputs[0], node.outputs[0]
            output.name, output.type, output.shape = y.name, y.type, y.shape
            model.graph.insert_before(node, flatten)
            ir.convenience.replace_all_uses_with(y, output, replace_graph_outputs=True)
            model.graph.remove(node, safe=True)
            replaced += 1
    return replaced


def _merges_all_but_first(node: ir.Node) -> bool:
    x, target = node.inputs[0], constant(node.inputs[1])
    if x is None or x.shape is None or len(x.shape) < 2 or target is None or len(target) != 2:
        return False
    allow_zero = node.attributes["allowzero"].as_int() if "allowzero" in node.attributes else 0
    first, second = (int(size) for size in target)
    rest = 1
    for dim in list(x.shape)[1:]:
        if not isinstance(dim, int):
            return False
        rest *= dim
    keeps_first = (first == 0 and not allow_zero) or first == -1 or first == x.shape[0]
    # (-1, -1) is not valid ONNX; (-1, rest) keeps N because the element count is fixed.
    return keeps_first and (second == rest or (second == -1 and first != -1))
