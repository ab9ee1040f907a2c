"""A graph without its weights, for what only asks about shapes."""

from __future__ import annotations

import contextlib
import math
from typing import TypeVar

import onnx
from google.protobuf.message import Message

MOST_SETTLED = 4096
"""Elements of a constant that shapes may depend on: shapes, indices and paddings have a few."""

_MOST_FLOATS = 64
"""Likewise of floats: scales of a Resize."""

ITEM_SIZES: dict[int, int] = {
    onnx.TensorProto.FLOAT: 4,
    onnx.TensorProto.DOUBLE: 8,
    onnx.TensorProto.FLOAT16: 2,
    onnx.TensorProto.BFLOAT16: 2,
    onnx.TensorProto.INT8: 1,
    onnx.TensorProto.UINT8: 1,
    onnx.TensorProto.INT32: 4,
    onnx.TensorProto.INT64: 8,
}
"""Bytes of an element by type: the types of weights."""


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
        floats = tensor.data_type == onnx.TensorProto.FLOAT
        if math.prod(tensor.dims) <= (_MOST_FLOATS if floats else MOST_SETTLED):
            graph.initializer.append(tensor)
        elif tensor.name not in listed:
            graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
    return bare


def check_model(model: onnx.ModelProto) -> None:
    """Raise what onnx's checker has against ``model``; its weights are not copied for that.

    The checker asks of a tensor that its bytes are as many as its shape and type say. Those of a
    large one are counted here, and where they are right, the checker gets one of a single element.

    Raises:
        onnx.checker.ValidationError: the model is not valid ONNX.
    """
    bare = _without(model, "graph")
    bare.graph.CopyFrom(_without(model.graph, "initializer"))
    for tensor in model.graph.initializer:
        size = _item_size(tensor)
        if size and math.prod(tensor.dims) * size == len(tensor.raw_data) > MOST_SETTLED:
            bare.graph.initializer.add(
                name=tensor.name, data_type=tensor.data_type, dims=(1,), raw_data=bytes(size)
            )
        else:
            bare.graph.initializer.append(tensor)
    onnx.checker.check_model(bare)


def infer_shapes(model: onnx.ModelProto, *, strict: bool = False) -> None:
    """Add to ``model`` the shapes that onnx infers, in place: its weights are not copied.

    Raises:
        onnx.shape_inference.InferenceError: ``strict``, and an operator is wrong.
    """
    inferred = onnx.shape_inference.infer_shapes(skeleton(model), strict_mode=strict).graph
    for field in ("node", "output", "value_info"):
        del getattr(model.graph, field)[:]
        getattr(model.graph, field).extend(getattr(inferred, field))


P = TypeVar("P", bound=Message)


def _without(message: P, field: str) -> P:
    """Return a copy of ``message`` except for one ``field``, which is not copied."""
    copied = type(message)()
    for known, value in message.ListFields():
        if known.name == field:
            continue
        if isinstance(value, Message):
            getattr(copied, known.name).CopyFrom(value)
        elif isinstance(value, str | bytes) or not hasattr(value, "__len__"):
            setattr(copied, known.name, value)
        else:
            getattr(copied, known.name).extend(value)
    return copied


def _item_size(tensor: onnx.TensorProto) -> int:
    """Return the bytes of an element where they are stored as they are; 0 elsewhere."""
    return ITEM_SIZES.get(tensor.data_type, 0) if tensor.HasField("raw_data") else 0


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
