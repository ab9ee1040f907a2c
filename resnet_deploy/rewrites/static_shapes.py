"""A graph over batches  =>  one over a single image, whose every tensor has a known shape.

It is made to be looked at (:mod:`resnet_deploy.summarize`), not to be shipped: it takes one image,
and that already cropped.

ONNX's shape inference computes shapes of shapes but not all that exporters do with them: torch's
older one writes the widths of a Pad as a dozen operators on constants. So what only depends on
constants, and on shapes that are known by now, is computed here, as long as it is small.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.onnx_file import Artifact
from resnet_deploy.errors import UnsupportedGraphError, one_line
from resnet_deploy.rewrites.resize_front import without_front

_ROUNDS = 16
"""Of inference and computation; each settles what depends on one more shape."""

_MOST_VALUES = 4096
"""Elements of what is computed: shapes, indices and paddings have a few."""

_COMPUTED = frozenset(
    ("Add", "Cast", "Ceil", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Floor")
).union(
    ("Gather", "Identity", "Max", "Min", "Mod", "Mul", "Neg", "ReduceMax", "ReduceMin"),
    ("ReduceProd", "Reshape", "Slice", "Split", "Squeeze", "Sub", "Transpose", "Unsqueeze"),
    ("Where",),
)
"""Operators on shapes, indices and paddings."""


def with_shapes(model: onnx.ModelProto, artifact: Artifact) -> onnx.ModelProto:
    """Return a copy of ``model``, the graph of ``artifact``, for one image, with all shapes.

    What resizes an image is left out: its size is not known, and none of it is a layer.

    Raises:
        UnsupportedGraphError: the shapes can't be inferred.
    """
    fixed = copy.deepcopy(without_front(model))
    initializers = {tensor.name for tensor in fixed.graph.initializer}
    image = next(value for value in fixed.graph.input if value.name not in initializers)
    dims = image.type.tensor_type.shape.dim
    for dim, length in zip(dims, (1, *artifact.image_shape), strict=True):
        dim.dim_value = length
    # What was written for a dynamic batch would stand against what is inferred for one image.
    del fixed.graph.value_info[:]
    for value in fixed.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        for _ in range(_ROUNDS):
            inferred = onnx.shape_inference.infer_shapes(fixed, data_prop=True)
            if not _settle(fixed, _known_shapes(inferred.graph)):
                break
    except (onnx.shape_inference.InferenceError, ValueError) as error:
        raise UnsupportedGraphError(
            f"{artifact.path}: the shapes of its tensors can't be inferred ({one_line(error)})"
        ) from error
    return inferred


def _known_shapes(graph: onnx.GraphProto) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors of ``graph`` that are known whole."""
    found: dict[str, tuple[int, ...]] = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        dims = tensor.shape.dim
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            found[value.name] = tuple(dim.dim_value for dim in dims)
    return found


def _settle(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Put constants in place of operators that compute some; return whether any does."""
    graph = model.graph
    values: dict[str, Array] = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if math.prod(tensor.dims) <= _MOST_VALUES
    }
    ends = {value.name for value in graph.output}
    rest, settled = [], False
    for node in graph.node:
        if node.op_type == "Constant":
            outputs = _computed(node, {}, model)
        elif node.op_type == "Shape" and node.input[0] in shapes and not node.attribute:
            outputs = [np.array(shapes[node.input[0]], np.int64)]
        elif node.op_type in _COMPUTED and all(name in values for name in node.input if name):
            outputs = _computed(node, values, model)
        else:
            outputs = None
        if outputs is None or not ends.isdisjoint(node.output):
            rest.append(node)
            continue
        known = dict(zip(node.output, outputs, strict=False))
        values.update(known)
        graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in known.items())
        settled |= node.op_type != "Constant"
    if len(rest) < len(graph.node):
        kept = [copy.deepcopy(node) for node in rest]
        del graph.node[:]
        graph.node.extend(kept)
    return settled


def _computed(
    node: onnx.NodeProto, values: Mapping[str, Array], model: onnx.ModelProto
) -> list[Array] | None:
    """Return what ``node`` computes from ``values``, or None where that is much or fails."""
    operands = {name: values[name] for name in node.input if name}
    if _size(node, list(operands.values())) > _MOST_VALUES:
        return None
    alone = onnx.ModelProto()
    alone.ir_version = model.ir_version
    alone.opset_import.extend(model.opset_import)
    alone.graph.node.append(node)
    for values_, names in ((alone.graph.input, operands), (alone.graph.output, node.output)):
        values_.extend(onnx.ValueInfoProto(name=name) for name in names)
    try:
        found = ReferenceEvaluator(alone).run(None, operands)
    except Exception:
        return None
    arrays = [np.asarray(value) for value in found]
    small = all(array.size <= _MOST_VALUES for array in arrays)
    return arrays if small else None


def _size(node: onnx.NodeProto, operands: list[Array]) -> int:
    """Return how many values ``node`` would make of ``operands``, at most."""
    if node.op_type == "Constant":
        return max((math.prod(given.t.dims) for given in node.attribute), default=1)
    if node.op_type in ("ConstantOfShape", "Expand"):
        wanted = [abs(int(size)) for size in operands[-1].ravel()]
        return math.prod(wanted) * max(1, operands[0].size if len(operands) > 1 else 1)
    return math.prod(max(1, operand.size) for operand in operands[:3])
