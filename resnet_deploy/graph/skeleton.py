"""A graph without its weights, for what only asks about shapes."""

from __future__ import annotations

import contextlib
import math

import onnx

MOST_SETTLED = 4096
"""Elements of a constant that shapes may depend on: shapes, indices and paddings have a few."""


def skeleton(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of ``model`` whose large constants are inputs: they have a shape, no values.

    It is what shape inference can be asked about without copying hundreds of megabytes.
    """
    bare = onnx.ModelProto(ir_version=model.ir_version)
    bare.opset_import.extend(model.opset_import)
    bare.functions.extend(model.functions)
    graph, source = bare.graph, model.graph
    graph.name = source.name or "graph"
    for field in ("node", "input", "output", "value_info"):
        getattr(graph, field).extend(getattr(source, field))
    listed = {value.name for value in source.input}
    for tensor in source.initializer:
        if math.prod(tensor.dims) <= MOST_SETTLED:
            graph.initializer.append(tensor)
        elif tensor.name not in listed:
            graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
    return bare


def known_dims(graph: onnx.GraphProto) -> dict[str, tuple[int | None, ...]]:
    """Return the shapes of the tensors of ``graph`` whose rank is known; None is a free size."""
    found: dict[str, tuple[int | None, ...]] = {}
    for tensor in graph.initializer:
        found[tensor.name] = tuple(tensor.dims)
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        if kind.HasField("shape"):
            found[value.name] = tuple(
                dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim
            )
    return found


def inferred_dims(model: onnx.ModelProto) -> dict[str, tuple[int | None, ...]]:
    """Return the shapes that ONNX infers for ``model``; those it knows already where it fails."""
    bare = skeleton(model)
    with contextlib.suppress(onnx.shape_inference.InferenceError, ValueError, RuntimeError):
        bare = onnx.shape_inference.infer_shapes(bare, data_prop=True)
    return known_dims(bare.graph)
