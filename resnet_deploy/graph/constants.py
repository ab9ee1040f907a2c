"""Constants of a graph: reading, making and dropping them; and what reads them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.graph.unique_name import unique_name


def constant(value: ir.Value | None) -> Array | None:
    """Return the constant that ``value`` is, or None when it is computed at run time."""
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def optional_input(node: ir.Node, index: int) -> ir.Value | None:
    """Return input ``index`` of ``node``, or None where it was left out."""
    return node.inputs[index] if index < len(node.inputs) else None


def ints(node: ir.Node, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    """Return the integers of attribute ``name`` of ``node``, or ``default`` where it has none."""
    return tuple(node.attributes.get_ints(name, default))


def new_initializer(graph: ir.Graph, name: str, array: Array) -> ir.Value:
    """Add ``array`` to ``graph`` as an initializer; a taken ``name`` gets a number."""
    unique = unique_name(name, graph.initializers)
    value = ir.val(unique, const_value=ir.tensor(np.array(array, order="C"), name=unique))
    graph.register_initializer(value)
    return value


def drop_unused(graph: ir.Graph, *values: ir.Value | None) -> None:
    """Drop those of ``values`` from the initializers of ``graph`` that no node reads any more."""
    for value in values:
        if value is not None and not value.uses():
            graph.initializers.pop(str(value.name), None)


def set_input(node: ir.Node, index: int, value: ir.Value) -> None:
    """Let ``node`` read ``value`` as input ``index``, whether it had that many or not."""
    node.resize_inputs(max(index + 1, len(node.inputs)))
    node.replace_input_with(index, value)


def set_parameters(graph: ir.Graph, conv: ir.Node, name: str, weight: Array, bias: Array) -> None:
    """Give ``conv`` new float32 initializers ``NAME.weight`` and ``NAME.bias``."""
    old = conv.inputs[1:]
    for index, what, array in ((1, "weight", weight), (2, "bias", bias)):
        value = new_initializer(graph, f"{name}.{what}", array.astype(np.float32))
        set_input(conv, index, value)
    drop_unused(graph, *old)


def insert_node(
    graph: ir.Graph,
    anchor: ir.Node,
    op_type: str,
    inputs: list[ir.Value],
    *,
    name: str,
    dtype: ir.DataType,
    attributes: dict[str, int | tuple[int, ...]] | None = None,
    metadata: dict[str, str],
) -> ir.Value:
    """Put a new node in front of ``anchor``; return its output, called ``name`` as well."""
    node = ir.node(op_type, inputs, attributes, name=name, metadata_props=metadata)
    output = node.outputs[0]
    output.name = name
    if dtype is not None:
        output.dtype = dtype
    graph.insert_before(anchor, node)
    return output
