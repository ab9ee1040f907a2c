"""Split  =>  one Slice for each of its parts, which moves int8 codes as they are.

ONNX Runtime also has a Split of int8, but wants a QuantizeLinear behind every output, used or not.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from resnet_deploy.graph.constants import constant, new_initializer, optional_input
from resnet_deploy.passes.result import PassResult, rewrite_each


def split_to_slices(model: ir.Model) -> PassResult:
    """Rewrite every Split of known sizes. Refuses sizes that are computed at run time."""
    return rewrite_each(model, ("Split",), _replace)


def _replace(graph: ir.Graph, split: ir.Node) -> str | None:
    x = split.inputs[0]
    axis = split.attributes.get_int("axis", 0)
    sizes = _sizes(split, axis)
    if x is None or sizes is None:
        return "its sizes are not known"
    ends = np.cumsum(sizes)
    slices = []
    for output, size, end in zip(split.outputs, sizes, ends, strict=True):
        name = f"{split.name}.{output.index()}"
        bounds = [
            new_initializer(graph, f"{name}.{word}", np.array([number], np.int64))
            for word, number in (("start", end - size), ("end", end), ("axis", axis))
        ]
        slices.append(
            ir.node("Slice", [x, *bounds], name=name, metadata_props=dict(split.metadata_props))
        )
    ir.convenience.replace_nodes_and_values(
        graph, split, [split], slices, split.outputs, [node.outputs[0] for node in slices]
    )
    for node in slices:
        if not node.outputs[0].uses() and not node.outputs[0].is_graph_output():
            graph.remove(node, safe=True)
    return None


def _sizes(split: ir.Node, axis: int) -> list[int] | None:
    given = optional_input(split, 1)
    if given is not None:
        known = constant(given)
        return None if known is None else [int(size) for size in known]
    shape = split.inputs[0].shape if split.inputs[0] is not None else None
    whole = None if shape is None else shape[axis]
    if not isinstance(whole, int):
        return None
    part = -(-whole // len(split.outputs))
    return [min(part, whole - number * part) for number in range(len(split.outputs))]
