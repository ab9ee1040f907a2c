"""Min and Max with a constant  =>  Relu and Clip.

``Max(x, 0)`` is ``Relu(x)`` and ``Min(Max(x, a), b)``, in either order, is ``Clip(x, a, b)`` for
``a <= b``: so other tools write ReLU6. ONNX Runtime fuses Relu and Clip with the layer in front.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from resnet_deploy.graph.constants import constant, new_initializer, optional_input
from resnet_deploy.passes.result import PassResult, rewrite_each


def min_max_to_clip(model: ir.Model) -> PassResult:
    """Replace every Max with zero, every Min behind one, and every Clip of them.

    Refuses bounds that are not a single number, and a lower one above the upper one.
    """
    return rewrite_each(model, ("Min", "Max"), _replace, candidate=_has_bound)


def _has_bound(node: ir.Node) -> bool:
    return len(node.inputs) == 2 and any(constant(value) is not None for value in node.inputs)


def _replace(graph: ir.Graph, node: ir.Node) -> str | None:
    index = 0 if constant(node.inputs[0]) is not None else 1
    bound, x = node.inputs[index], node.inputs[1 - index]
    array = constant(bound)
    if x is None or bound is None or array is None or array.size != 1 or array.ndim > 1:
        return "its bound is not one number"
    low, high = (bound, None) if node.op_type == "Max" else (None, bound)
    before = x.producer()
    if before is not None and len(x.uses()) == 1 and not x.is_graph_output():
        if before.op_type == "Relu" and high is not None and array.item() >= 0:
            low = _scalar(graph, node, 0.0)
            x = before.inputs[0]
        elif before.op_type == "Clip" and _open(before, 2 if high is not None else 1):
            other = optional_input(before, 1 if high is not None else 2)
            value = constant(other)
            if other is None or value is None:
                return "the bound in front of it is computed at run time"
            ends = (value, array) if high is not None else (array, value)
            if ends[0].item() > ends[1].item():
                return "its lower bound is above its upper one"
            low, high = (other, high) if high is not None else (low, other)
            x = before.inputs[0]
    if low is not None and high is None and array.item() == 0:
        new = ir.node("Relu", [x], name=node.name, metadata_props=dict(node.metadata_props))
    else:
        ends_ = [None if end is None else _as_scalar(graph, node, end) for end in (low, high)]
        new = ir.node("Clip", [x, *ends_], name=node.name, metadata_props=dict(node.metadata_props))
    ir.convenience.replace_nodes_and_values(graph, node, [node], [new], node.outputs, new.outputs)
    return None


def _open(clip: ir.Node, index: int) -> bool:
    return optional_input(clip, index) is None


def _as_scalar(graph: ir.Graph, node: ir.Node, value: ir.Value) -> ir.Value:
    array = constant(value)
    assert array is not None, "bounds are constants"
    return value if array.ndim == 0 else _scalar(graph, node, float(array.item()))


def _scalar(graph: ir.Graph, node: ir.Node, number: float) -> ir.Value:
    return new_initializer(graph, f"{node.name}.bound", np.array(number, np.float32))
