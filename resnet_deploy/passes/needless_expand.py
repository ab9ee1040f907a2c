"""Expand in front of an operator that broadcasts by itself  =>  nothing.

``x * s.expand_as(x)`` is ``x * s``. ONNX Runtime has no int8 kernel for Expand, but its QLinearMul
broadcasts.
"""

from __future__ import annotations

import onnx_ir as ir

from resnet_deploy.passes.result import PassResult, rewrite_each

_BROADCAST = frozenset({"Add", "Div", "Mul", "Sub"})


def needless_expand(model: ir.Model) -> PassResult:
    """Remove every Expand whose readers all have another operand of the expanded shape.

    Refuses where a reader does not broadcast, or shapes are not known well enough: dynamic
    dimensions must have the same name on both sides.
    """
    return rewrite_each(model, ("Expand",), _remove)


def _remove(graph: ir.Graph, expand: ir.Node) -> str | None:
    output, source = expand.outputs[0], expand.inputs[0]
    if output.is_graph_output():
        return "its output is the graph's"
    for use in output.uses():
        if use.node.op_type not in _BROADCAST:
            return f"a {use.node.op_type} reads it"
        others = [value for value in use.node.inputs if value is not output]
        if len(others) != 1 or others[0] is None or not _same_shape(others[0], output):
            return f"the other operand of {use.node.name} is not known to have its shape"
    assert source is not None, "an Expand has an input"
    output.replace_all_uses_with(source)
    graph.remove(expand, safe=True)
    return None


def _same_shape(first: ir.Value, second: ir.Value) -> bool:
    if first.shape is None or second.shape is None or len(first.shape) != len(second.shape):
        return False
    return all(
        one == other if isinstance(one, int) else _named(one) and one == other
        for one, other in zip(first.shape, second.shape, strict=True)
    )


def _named(dimension: object) -> bool:
    return isinstance(dimension, ir.SymbolicDim) and dimension.value is not None
