"""What operators of opset 1 to 12 are in opset 13: one function per operator that changed.

Sources: onnx, docs/Changelog.md, and for Upsample and Resize of opset 10 ONNX Runtime's
``core/providers/cpu/tensor/upsample.h``, as their text leaves the coordinates open.

It is longer than a file here should be: one function beside the other, each read alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property

import numpy as np
import onnx
from onnx import helper, numpy_helper

from resnet_deploy.arrays import Array
from resnet_deploy.graph.skeleton import inferred_dims, skeleton
from resnet_deploy.graph.unique_name import unique_name

_BROADCASTS = 7
"""From here on Add and its kin broadcast as numpy does; before, along an attribute ``axis``."""

_TESTS = 7
"""From here on nodes are for inference unless told otherwise; before, unless ``is_test`` is set."""

_AXES = np.int64

_SHAPED_AS_FIRST = frozenset(
    (
        *("Abs", "Add", "BatchNormalization", "Cast", "Ceil", "Clip", "Div", "Dropout", "Elu"),
        *("Exp", "Floor", "HardSigmoid", "InstanceNormalization", "LRN", "LeakyRelu", "Log"),
        *("LogSoftmax", "Max", "Mean", "Min", "Mul", "Neg", "PRelu", "Pow", "Reciprocal", "Relu"),
        *("Selu", "Sigmoid", "Softmax", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Tanh"),
        "ThresholdedRelu",
    )
)
"""Before opset 7 their result has the shape of the first input, which the others lie along."""


class CantRaiseError(Exception):
    """A node can't be spelled in opset 13; the text says which, and why."""

    def __init__(self, node: onnx.NodeProto, reason: str) -> None:
        super().__init__(f"{node.op_type} node {node.name or node.output[0]!r}: {reason}")


class OldGraph:
    """The graph of ``model``, in ``opset``, as the rules see it; ``constants`` are their new ones.

    Nothing is changed in it.
    """

    def __init__(self, model: onnx.ModelProto, opset: int) -> None:
        self.opset = opset
        self.constants: list[onnx.TensorProto] = []
        self._model = model

    @cached_property
    def _names(self) -> set[str]:
        nodes = self._model.graph.node
        tensors = {name for node in nodes for name in (*node.input, *node.output)}
        return tensors | {tensor.name for tensor in self._model.graph.initializer}

    @cached_property
    def _dims(self) -> dict[str, tuple[int | None, ...]]:
        return inferred_dims(_inferable(self._model, self.opset))

    @cached_property
    def _stored(self) -> dict[str, onnx.TensorProto]:
        return {tensor.name: tensor for tensor in self._model.graph.initializer}

    def dims(self, name: str) -> tuple[int | None, ...] | None:
        """Return the shape of tensor ``name``, None for a free size; None where none is known."""
        return self._dims.get(name)

    def rank(self, node: onnx.NodeProto, index: int = 0) -> int:
        """Return the number of dimensions of an input of ``node``.

        Raises:
            CantRaiseError: it is not known.
        """
        dims = self.dims(node.input[index])
        if dims is None:
            raise CantRaiseError(node, "the shape of its input is not known")
        return len(dims)

    def stored(self, name: str) -> Array | None:
        """Return the initializer ``name``; None where it is none."""
        return numpy_helper.to_array(self._stored[name]) if name in self._stored else None

    def free_name(self, stem: str) -> str:
        """Return a name that no tensor has yet, and keep it."""
        name = unique_name(stem, self._names)
        self._names.add(name)
        return name

    def constant(self, node: onnx.NodeProto, what: str, values: Array) -> str:
        """Make ``values`` an initializer, called after ``node`` and ``what`` they are."""
        name = self.free_name(f"{node.output[0]}.{what}")
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def axes(self, node: onnx.NodeProto, what: str, values: Iterable[int]) -> str:
        """Make integers an initializer: axes, widths, sizes."""
        return self.constant(node, what, np.array(list(values), _AXES))

    def without(self, node: onnx.NodeProto, *attributes: str) -> onnx.NodeProto:
        """Return ``node`` without the attributes of these names."""
        if not any(given.name in attributes for given in node.attribute):
            return node
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        del copy.attribute[:]
        copy.attribute.extend(given for given in node.attribute if given.name not in attributes)
        return copy


def _inferable(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Return ``model``, or a copy for its shapes alone: onnx infers none behind old operators."""
    if opset >= _BROADCASTS:
        return model
    bare = skeleton(model)
    for node in bare.graph.node:
        if node.domain not in ("", "ai.onnx") or not node.input:
            continue
        target = _ints(node, "shape")
        if node.op_type in _SHAPED_AS_FIRST:
            node.op_type = "Identity"
            del node.attribute[:], node.input[1:], node.output[1:]
        elif node.op_type == "Reshape" and target:
            sizes = [size if size > 0 else None for size in target]
            bare.graph.value_info.append(
                helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, sizes)
            )
    return bare


Rule = Callable[[onnx.NodeProto, OldGraph], list[onnx.NodeProto]]


def _attribute(node: onnx.NodeProto, name: str) -> onnx.AttributeProto | None:
    return next((given for given in node.attribute if given.name == name), None)


def _ints(node: onnx.NodeProto, name: str) -> list[int] | None:
    given = _attribute(node, name)
    return None if given is None else [int(value) for value in given.ints]


def _int(node: onnx.NodeProto, name: str, default: int) -> int:
    given = _attribute(node, name)
    return default if given is None else int(given.i)


def _with_inputs(node: onnx.NodeProto, *inputs: str) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    del copy.input[:]
    copy.input.extend(inputs)
    while copy.input and not copy.input[-1]:
        del copy.input[-1]
    return copy


def _axes_to_input(node: onnx.NodeProto, old: OldGraph) -> list[onnx.NodeProto]:
    """Squeeze, Unsqueeze and ReduceSum."""
    axes, bare = _ints(node, "axes"), old.without(node, "axes", "consumed_inputs")
    if axes is None:
        return [bare]
    return [_with_inputs(bare, node.input[0], old.axes(node, "axes", axes))]


def _split(node: onnx.NodeProto, old: OldGraph) -> list[onnx.NodeProto]:
    sizes, bare = _ints(node, "split"), old.without(node, "split")
    if len(node.input) > 1:
        raise CantRaiseError(node, "its sizes are a tensor of floats")
    if old.opset < 2 and _attribute(node, "axis") is None:
        raise CantRaiseError(node, "it does not say along which axis")
    if not sizes:
        return [bare]
    return [_with_inputs(bare, node.input[0], old.axes(node, "split", sizes))]


def _slice(node: onnx.NodeProto, old: OldGraph) -> list[onnx.NodeProto]:
    starts, ends, axes = (_ints(node, name) for name in ("starts", "ends", "axes"))
    if starts is None or ends is None:
        return [node]  # inputs since opset 10
    inputs = [node.input[0], old.axes(node, "starts", starts), old.axes(node, "ends", ends)]
    if axes is not None:
        inputs.append(old.axes(node, "axes", axes))
    return [_with_inputs(old.without(node, "starts", "ends", "axes"), *inputs)]


def _reshape(node: onnx.NodeProto, old: OldGraph) -> list[onnx.NodeProto]:
    shape = _ints(node, "shape")
    if shape is None:
        return [node]
    bare = old.without(node, "shape", "consumed_inputs")
    return [_with_inputs(bare, node.input[0], old.axes(node, "shape", shape))]


def _clip(node: onnx.NodeProto, old: OldGraph) -> list[onnx.NodeProto]:
    bounds = [_attribute(node, name) for name in ("min", "max")]
    bare = old.without(node, "min", "max", "consumed_inputs")
    if old.opset >= 11:
        return [bare]
    names = [
        "" if given is None else old.constant(node, given.name, np.array(given.f, np.float32))
        for given in bounds
    ]
    return [_with_inputs(bare, node.input[0], *names)]


def _pad(node: onnx.NodeProto, old: OldGraph) -> list[onnx.NodeProto]:
    if old.opset >= 11:
        return [node]
    widths = _ints(node, "pads" if old.opset >= 2 else "paddings")
    if widths is None:
        raise CantRaiseError(node, "it has no widths")
    value = _attribute(node, "value")
    filler = np.array(0.0 if value is None else value.f, np.float32)
    bare = old.without(node, "pads", "paddings", "value")
    inputs = [node.input[0], old.axes(node, "pads", widths), old.constant(node, "value", filler)]
    return [_with_inputs(bare, *inputs)]


def _softmax(node: onnx.NodeProto, old: OldGraph) -> list[onnx.NodeProto]:
    """Softmax, LogSoftmax and Hardmax: over all dimensions from ``axis`` on, as if they were one.

    That is along one axis where the others have one value, or where there is no other.
    """
    axis = _int(node, "axis", 1)
    dims = old.dims(node.input[0])
    if axis < 0:
        axis += old.rank(node)
    if dims is not None and all(size == 1 for size in dims[axis + 1 :]):
        copy = old.without(node, "axis")
        if copy is node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
        copy.attribute.append(helper.make_attribute("axis", axis))
        return [copy]
    shape, flat, result = (
        old.free_name(f"{node.output[0]}.{what}") for what in ("shape", "flat", "rows")
    )
    return [
        helper.make_node("Shape", node.input[:1], [shape]),
        helper.make_node("Flatten", node.input[:1], [flat], axis=axis),
        helper.make_node(node.op_type, [flat], [result], name=node.name, axis=-1),
        helper.make_node("Reshape", [result, shape], node.output[:1]),
    ]


def _broadcast(node: onnx.NodeProto, old: OldGraph) -> list[onnx.NodeProto]:
    """Add and its kin: the second operand lies along ``axis`` of the first, or at its end."""
    bare = old.without(node, "axis", "broadcast", "consumed_inputs")
    axis = _attribute(node, "axis")
    if old.opset >= _BROADCASTS or not _int(node, "broadcast", 0) or axis is None:
        return [bare]
    behind = old.rank(node) - int(axis.i) % old.rank(node) - old.rank(node, 1)
    return _behind_ones(bare, old, behind)


def _prelu(node: onnx.NodeProto, old: OldGraph) -> list[onnx.NodeProto]:
    """Before opset 7 a slope was one per channel, or one for all."""
    bare = old.without(node, "consumed_inputs")
    if old.opset >= _BROADCASTS or old.dims(node.input[1]) in ((), (1,)):
        return [bare]
    return _behind_ones(bare, old, old.rank(node) - 1 - old.rank(node, 1))


def _behind_ones(node: onnx.NodeProto, old: OldGraph, count: int) -> list[onnx.NodeProto]:
    """Give the second input of ``node`` this many dimensions of one value at its end."""
    if count <= 0:
        return [node]
    rank = old.rank(node, 1)
    axes = old.axes(node, "axes", range(rank, rank + count))
    wide = old.free_name(f"{node.output[0]}.operand")
    unsqueeze = helper.make_node("Unsqueeze", [node.input[1], axes], [wide])
    return [unsqueeze, _with_inputs(node, node.input[0], wide)]


def _gemm(node: onnx.NodeProto, old: OldGraph) -> list[onnx.NodeProto]:
    return [old.without(node, "broadcast")]


def _concat(node: onnx.NodeProto, old: OldGraph) -> list[onnx.NodeProto]:
    """Along the channels unless told otherwise, until opset 4 asked to be told."""
    if _attribute(node, "axis") is not None:
        return [node]
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.attribute.append(helper.make_attribute("axis", 1))
    return [copy]


def _batchnorm(node: onnx.NodeProto, old: OldGraph) -> list[onnx.NodeProto]:
    if any(node.output[1:]) or (old.opset < _TESTS and not _int(node, "is_test", 0)):
        raise CantRaiseError(node, "it is in training mode, normalising each batch by itself")
    if not _int(node, "spatial", 1) and not _has_channel_statistics(node, old):
        return _pixelwise_norm(node, old)
    return [old.without(node, "spatial", "is_test", "consumed_inputs", "momentum")]


def _has_channel_statistics(node: onnx.NodeProto, old: OldGraph) -> bool:
    """Whether ``spatial=0`` contradicts the arrays, as MXNet's exporter wrote it: these are right.

    ONNX Runtime reads it like that where it folds the operator into a convolution.
    """
    arrays = [old.stored(name) for name in node.input[1:5]]
    return all(array is not None and array.ndim == 1 for array in arrays)


def _pixelwise_norm(node: onnx.NodeProto, old: OldGraph) -> list[onnx.NodeProto]:
    """``spatial=0`` normalises each pixel of each channel by statistics of its own, (C, H, W)."""
    arrays = [old.stored(name) for name in node.input[1:5]]
    known = [array.astype(np.float64) for array in arrays if array is not None]
    if len(known) != 4:
        raise CantRaiseError(node, "spatial=0, and its statistics are not stored")
    if any(array.ndim != old.rank(node) - 1 for array in known):
        raise CantRaiseError(
            node, "spatial=0, and its statistics are neither of channels nor of pixels"
        )
    given = _attribute(node, "epsilon")
    gamma, beta, mean, variance = known
    scale = gamma / np.sqrt(variance + (1e-5 if given is None else given.f))
    factor, term = (
        old.constant(node, what, array.astype(np.float32))
        for what, array in (("scale", scale), ("shift", beta - mean * scale))
    )
    scaled = old.free_name(f"{node.output[0]}.scaled")
    return [
        helper.make_node("Mul", [node.input[0], factor], [scaled], name=node.name),
        helper.make_node("Add", [scaled, term], node.output[:1]),
    ]


def _dropout(node: onnx.NodeProto, old: OldGraph) -> list[onnx.NodeProto]:
    """One for inference is gone already: what is left gives its mask, or is in training mode."""
    if old.opset >= 12:
        return [node]
    raise CantRaiseError(node, "its mask is read, or it is in training mode")


def _cast(node: onnx.NodeProto, old: OldGraph) -> list[onnx.NodeProto]:
    kind = _attribute(node, "to")
    if kind is None or old.opset >= 6:
        return [node]
    name, known = kind.s.decode(errors="replace").upper(), onnx.TensorProto.DataType.keys()
    if name not in list(known):
        raise CantRaiseError(node, f"there is no type {name[:20]!r}")
    copy = old.without(node, "to")
    copy.attribute.append(helper.make_attribute("to", onnx.TensorProto.DataType.Value(name)))
    return [copy]


def _top_k(node: onnx.NodeProto, old: OldGraph) -> list[onnx.NodeProto]:
    count = _attribute(node, "k")
    if count is None:
        return [node]
    return [_with_inputs(old.without(node, "k"), node.input[0], old.axes(node, "k", [count.i]))]


def _lp_pool(node: onnx.NodeProto, old: OldGraph) -> list[onnx.NodeProto]:
    """LpPool and GlobalLpPool: the order was a float in opset 1."""
    order = _attribute(node, "p")
    if order is None or order.type != onnx.AttributeProto.FLOAT:
        return [node]
    if not order.f.is_integer():
        raise CantRaiseError(node, "its order is not an integer")
    copy = old.without(node, "p")
    copy.attribute.append(helper.make_attribute("p", int(order.f)))
    return [copy]


def _upsample(node: onnx.NodeProto, old: OldGraph) -> list[onnx.NodeProto]:
    given = _attribute(node, "scales")
    if len(node.input) > 1:
        scales = node.input[1]
    elif given is not None:
        scales = old.constant(node, "scales", np.array(given.floats, np.float32))
    else:
        both = [_attribute(node, name) for name in ("height_scale", "width_scale")]
        factors = [1.0, 1.0, *(size.f for size in both if size is not None)]
        if len(factors) != 4:
            raise CantRaiseError(node, "it has no scales")
        scales = old.constant(node, "scales", np.array(factors, np.float32))
    return [_resized(node, scales, "floor")]


def _resize(node: onnx.NodeProto, old: OldGraph) -> list[onnx.NodeProto]:
    """Opset 10 has its pixels where Upsample has them; the text of later ones is the same."""
    if old.opset >= 11:
        mode = _attribute(node, "coordinate_transformation_mode")
        if mode is not None and mode.s == b"tf_half_pixel_for_nn":
            raise CantRaiseError(node, "tf_half_pixel_for_nn is gone since opset 13")
        return [node]
    scales = old.stored(node.input[1])
    if scales is None:
        raise CantRaiseError(node, "its scales are computed")
    return [_resized(node, node.input[1], "ceil" if (scales < 1).any() else "floor")]


def _resized(node: onnx.NodeProto, scales: str, nearest: str) -> onnx.NodeProto:
    mode = _attribute(node, "mode")
    kind = "nearest" if mode is None else mode.s.decode(errors="replace")
    kind = "linear" if kind == "bilinear" else kind
    return helper.make_node(
        "Resize",
        [node.input[0], "", scales],
        node.output,
        name=node.name,
        mode=kind,
        coordinate_transformation_mode="asymmetric",
        nearest_mode=nearest,
    )


RULES: dict[str, Rule] = {
    "Add": _broadcast,
    "And": _broadcast,
    "BatchNormalization": _batchnorm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Div": _broadcast,
    "Dropout": _dropout,
    "Equal": _broadcast,
    "Gemm": _gemm,
    "GlobalLpPool": _lp_pool,
    "Greater": _broadcast,
    "Hardmax": _softmax,
    "Less": _broadcast,
    "LogSoftmax": _softmax,
    "LpPool": _lp_pool,
    "Mul": _broadcast,
    "Or": _broadcast,
    "PRelu": _prelu,
    "Pad": _pad,
    "Pow": _broadcast,
    "ReduceSum": _axes_to_input,
    "Reshape": _reshape,
    "Resize": _resize,
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Squeeze": _axes_to_input,
    "Sub": _broadcast,
    "TopK": _top_k,
    "Unsqueeze": _axes_to_input,
    "Upsample": _upsample,
}
"""Operators that are written differently in opset 13."""

SAME_SINCE = dict.fromkeys(
    (
        *("Abs", "ArgMax", "ArgMin", "AveragePool", "Ceil", "Constant", "Conv", "ConvTranspose"),
        *("DepthToSpace", "Elu", "Exp", "Flatten", "Floor", "Gather", "GlobalAveragePool"),
        *("GlobalMaxPool", "HardSigmoid", "Identity", "InstanceNormalization", "LRN", "LeakyRelu"),
        *("Log", "LpNormalization", "MatMul", "MaxPool", "Neg", "Not", "Reciprocal", "ReduceL1"),
        *("ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin"),
        *("ReduceProd", "ReduceSumSquare", "Relu", "Selu", "Shape", "Sigmoid", "Size", "Softplus"),
        *("Softsign", "SpaceToDepth", "Sqrt", "Tanh", "ThresholdedRelu", "Transpose"),
    ),
    1,
) | {
    "ConstantOfShape": 9,
    "DequantizeLinear": 10,
    "Erf": 9,
    "Expand": 8,
    "Max": 8,
    "Mean": 8,
    "Min": 8,
    "Mod": 10,
    "NonZero": 9,
    "QuantizeLinear": 10,
    "Sign": 9,
    "Sum": 8,
    "Tile": 6,
    "Where": 9,
}
"""From which opset on an operator means what it means in opset 13: only types were added."""
