"""What operators compute from constants, as ONNX's reference implementation has it, bounded."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from resnet_deploy.arrays import Array
from resnet_deploy.graph.releases import opset_of

ON_SHAPES = frozenset(
    ("Abs", "Add", "And", "Cast", "Ceil", "Clip", "Concat", "ConstantOfShape", "Div", "Equal")
).union(
    ("Expand", "Floor", "Gather", "Greater", "Identity", "Less", "Max", "Min", "Mod", "Mul", "Neg"),
    ("Not", "Or", "Range", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "Round"),
    ("Slice", "Split", "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze", "Where"),
)
"""Operators that exporters leave between shapes, indices and paddings."""

ON_WEIGHTS = ON_SHAPES | frozenset(
    ("DequantizeLinear", "Flatten", "Pow", "QuantizeLinear", "Reciprocal", "ReduceMean", "Tile")
)
"""Those that stand between a stored weight and the layer that reads it, too."""

_BROADCAST = frozenset(
    ("Add", "And", "Div", "Equal", "Greater", "Less", "Max", "Min", "Mod", "Mul", "Or", "Pow")
).union(("Sub", "Where"))

_EARLIEST = {"DequantizeLinear": 21}
"""The first opset in which the reference implementation has it whole; it means the same before."""


def computed(
    node: onnx.NodeProto, operands: Mapping[str, Array], model: onnx.ModelProto
) -> list[Array] | None:
    """Return what ``node`` of ``model`` computes from ``operands``, by name; None where it fails.

    Ask :func:`size_of_result` first: nothing is bounded here.
    """
    alone = onnx.ModelProto()
    alone.ir_version = model.ir_version
    opset = max(opset_of(model), _EARLIEST.get(node.op_type, 0))
    alone.opset_import.append(onnx.helper.make_opsetid("", opset))
    alone.graph.node.append(node)
    for values, names in ((alone.graph.input, operands), (alone.graph.output, node.output)):
        values.extend(onnx.ValueInfoProto(name=name) for name in names)
    try:
        with np.errstate(all="ignore"):
            found = ReferenceEvaluator(alone).run(None, dict(operands))
    except Exception:  # of many kinds; ONNX Runtime refuses such a file, or knows the operator
        return None
    arrays = [np.asarray(value) for value in found]
    if node.op_type == "ConstantOfShape" and arrays[0].size:
        # One value, seen everywhere: of a wide layer the array is hundreds of megabytes.
        arrays = [np.broadcast_to(arrays[0].flat[0], arrays[0].shape)]
    return None if any(array.dtype == object for array in arrays) else arrays


def size_of_result(node: onnx.NodeProto, operands: list[Array]) -> int:
    """Return how many values ``node`` makes of ``operands`` at most; huge where none can tell."""
    sizes = [operand.size for operand in operands]
    if node.op_type == "Constant":
        return max((math.prod(given.t.dims) for given in node.attribute), default=1)
    if node.op_type in ("ConstantOfShape", "Expand", "Tile"):
        wanted = math.prod(abs(int(size)) for size in operands[-1].ravel()[:64])
        return max(1, wanted) * (sizes[0] if len(operands) > 1 else 1)
    if node.op_type in _BROADCAST:
        return _broadcast_size(operands)
    if node.op_type == "Range":
        return _steps(operands)
    return math.prod(sizes) if node.op_type == "Gather" else sum(sizes)


def _broadcast_size(operands: list[Array]) -> int:
    try:
        return math.prod(np.broadcast_shapes(*(operand.shape for operand in operands)))
    except ValueError:
        return 0  # it fails


def _steps(operands: list[Array]) -> int:
    start, limit, delta = (float(operand.ravel()[0]) for operand in operands)
    steps = (limit - start) / delta if delta else math.inf
    return math.ceil(max(0.0, steps)) if math.isfinite(steps) else 1 << 62
