"""Reading constant tensors of a graph, and making new ones."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from resnet_deploy.arrays import Array


def constant(value: ir.Value | None) -> Array | None:
    """Return the constant that ``value`` is, or None when it is computed at run time."""
    if value is None:
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def ints(node: ir.Node, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    """Return the integers of attribute ``name`` of ``node``, or ``default`` where it has none."""
    return tuple(node.attributes[name].as_ints()) if name in node.attributes else default


def new_initializer(graph: ir.Graph, name: str, array: Array) -> ir.Value:
    """Add ``array`` to ``graph`` as an initializer; a taken ``name`` gets a number."""
    unique, number = name, 0
    while unique in graph.initializers:
        number += 1
        unique = f"{name}_{number}"
    tensor = ir.tensor(np.array(array, order="C"), name=unique)
    value = ir.val(unique, const_value=tensor)
    graph.register_initializer(value)
    return value


def drop_unused(graph: ir.Graph, *values: ir.Value | None) -> None:
    """Drop those of ``values`` from the initializers of ``graph`` that no node reads any more."""
    for value in values:
        if value is not None and not value.uses():
            graph.initializers.pop(str(value.name), None)
