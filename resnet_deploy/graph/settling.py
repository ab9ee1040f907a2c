"""What shapes are made into  =>  constants, as far as the shapes are known.

ONNX's shape inference computes shapes of shapes but not all that exporters do with them: torch's
older one writes the widths of a Pad as a dozen operators on constants. So what only depends on
constants, and on shapes that are known by now, is computed here, as long as it is small.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from resnet_deploy.arrays import Array
from resnet_deploy.graph.evaluation import ON_SHAPES, computed, size_of_result
from resnet_deploy.graph.skeleton import MOST_SETTLED, skeleton

_ROUNDS = 16
"""Of inference and computation; each settles what depends on one more shape."""


def settled(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """Return the :func:`skeleton` of ``model`` with all shapes, and what was computed, by tensor.

    Raises:
        onnx.shape_inference.InferenceError: the shapes contradict each other.
        ValueError: they are too many for protobuf.
    """
    bare = skeleton(model)
    found: dict[str, Array] = {}
    for _ in range(_ROUNDS):
        inferred = onnx.shape_inference.infer_shapes(bare, data_prop=True)
        new = _settle(bare, known_shapes(inferred.graph))
        found |= new
        if not new:
            break
    return inferred, found


def known_shapes(graph: onnx.GraphProto) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors of ``graph`` that are known whole."""
    found: dict[str, tuple[int, ...]] = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        dims = tensor.shape.dim
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            found[value.name] = tuple(dim.dim_value for dim in dims)
    return found


def _settle(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """Put constants in place of operators that compute some; return what they computed."""
    graph = model.graph
    values: dict[str, Array] = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if math.prod(tensor.dims) <= MOST_SETTLED
    }
    ends = {value.name for value in graph.output}
    found: dict[str, Array] = {}
    rest = []
    for node in graph.node:
        outputs = _outputs(node, values, shapes, model) if ends.isdisjoint(node.output) else None
        if outputs is None:
            rest.append(node)
            continue
        known = dict(zip(node.output, outputs, strict=False))
        values |= known
        found |= known
        graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in known.items())
    if len(rest) < len(graph.node):
        kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in rest]
        del graph.node[:]
        graph.node.extend(kept)
    return found


def _outputs(
    node: onnx.NodeProto,
    values: Mapping[str, Array],
    shapes: Mapping[str, tuple[int, ...]],
    model: onnx.ModelProto,
) -> list[Array] | None:
    """Return what ``node`` computes, or None where it needs more, makes much or fails."""
    if node.op_type in ("Shape", "Size") and node.input[0] in shapes:
        whole = np.array(shapes[node.input[0]], np.int64)
        if node.op_type == "Size":
            return [np.array(math.prod(shapes[node.input[0]]), np.int64)]
        ends = {given.name: given.i for given in node.attribute}
        return [whole[slice(ends.get("start"), ends.get("end"))]]
    if node.op_type not in ON_SHAPES | {"Constant"}:
        return None
    if not all(name in values for name in node.input if name):
        return None
    operands = {name: values[name] for name in node.input if name}
    if size_of_result(node, list(operands.values())) > MOST_SETTLED:
        return None
    arrays = computed(node, operands, model)
    small = arrays is not None and all(array.size <= MOST_SETTLED for array in arrays)
    return arrays if small else None
