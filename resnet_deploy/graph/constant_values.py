"""Constants of a graph as protobuf has it: stored, or computed from others that are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from resnet_deploy.arrays import Array

_MOST_VALUES = 1 << 22
"""Elements of one constant: a mean image of 1000x1000 pixels."""

_MOST_AXES = 8

_DEEPEST = 16
"""Operators behind each other that compute one constant."""

_ARITHMETIC: Mapping[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
}

_OF_ONE: Mapping[str, Callable[[Array], Array]] = {
    "Identity": lambda array: array,
    "Cast": lambda array: array,
    "Neg": np.negative,
    "Reciprocal": np.reciprocal,
    "Sqrt": np.sqrt,
}


class ConstantValues:
    """The constants among the tensors of ``graph``, by name.

    Operators that exporters leave between a stored constant and what reads it are computed; other
    tensors have no value.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        self._made_by = {name: node for node in graph.node for name in node.output if name}

    def value(self, name: str) -> Array | None:
        """Return the constant ``name``, or None where it is computed at run time or huge."""
        return self._value(name, _DEEPEST)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape of the weight ``name``, which may be stored in int8."""
        for _ in range(_DEEPEST):
            if name in self._stored:
                return tuple(self._stored[name].dims)
            node = self._made_by.get(name)
            if node is None:
                return None
            if node.op_type == "Constant":
                value = _attribute_tensor(node)
                return None if value is None else tuple(value.dims)
            if node.op_type not in ("Identity", "Cast", "QuantizeLinear", "DequantizeLinear"):
                return None
            name = node.input[0] if node.input else ""
        return None

    def _value(self, name: str, depth: int) -> Array | None:
        if name in self._stored:
            return _array(self._stored[name])
        node = self._made_by.get(name)
        if node is None or depth == 0:
            return None
        if node.op_type == "Constant":
            return _attribute_value(node)
        operands = [self._value(given, depth - 1) for given in node.input if given]
        present = [operand for operand in operands if operand is not None]
        if not present or len(present) < len(operands):
            return None
        try:
            with np.errstate(all="ignore"):
                return _computed(node, present)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None  # of shapes that don't fit: ONNX Runtime refuses the file


def _computed(node: onnx.NodeProto, operands: list[Array]) -> Array | None:
    kind, first = node.op_type, operands[0]
    if kind in _OF_ONE:
        return _OF_ONE[kind](first)
    if kind in _ARITHMETIC and len(operands) == 2:
        if math.prod(np.broadcast_shapes(first.shape, operands[1].shape)) > _MOST_VALUES:
            return None
        return _ARITHMETIC[kind](first, operands[1])
    if kind == "DequantizeLinear" and len(operands) >= 2 and operands[1].size == 1:
        zero = operands[2] if len(operands) > 2 else np.zeros((), first.dtype)
        return (first.astype(np.float64) - zero.astype(np.float64)) * operands[1].astype(np.float64)
    return _shaped(node, operands)


def _shaped(node: onnx.NodeProto, operands: list[Array]) -> Array | None:
    kind, first = node.op_type, operands[0]
    if kind == "Reshape" and len(operands) == 2:
        return first.reshape([int(size) for size in operands[1].ravel()])
    if kind == "Transpose":
        return first.transpose(ints_of(node, "perm") or None)
    axes = ints_of(node, "axes") or tuple(int(n) for more in operands[1:] for n in more.ravel())
    if kind == "Unsqueeze" and len(axes) <= _MOST_AXES:
        return np.expand_dims(first, axes)
    return np.squeeze(first, axes or None) if kind == "Squeeze" else None


def ints_of(node: onnx.NodeProto, name: str) -> tuple[int, ...]:
    """Return the integers of attribute ``name``; none where it has none."""
    return next((tuple(given.ints) for given in node.attribute if given.name == name), ())


def int_of(node: onnx.NodeProto, name: str, default: int) -> int:
    """Return the integer of attribute ``name``, or ``default``."""
    return next((int(given.i) for given in node.attribute if given.name == name), default)


def _attribute_tensor(node: onnx.NodeProto) -> onnx.TensorProto | None:
    return next((given.t for given in node.attribute if given.name == "value"), None)


def _attribute_value(node: onnx.NodeProto) -> Array | None:
    for given in node.attribute:
        if given.name == "value":
            return _array(given.t)
        if given.name in ("value_float", "value_int"):
            return np.array(given.f if given.name == "value_float" else given.i)
        if given.name in ("value_floats", "value_ints"):
            return np.array(given.floats if given.name == "value_floats" else given.ints)
    return None


def _array(tensor: onnx.TensorProto) -> Array | None:
    """Return what ``tensor`` holds; None where it is huge, damaged or in another file."""
    outside = tensor.data_location == onnx.TensorProto.EXTERNAL
    if outside or math.prod(tensor.dims) > _MOST_VALUES:
        return None
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError):
        return None


def input_of(node: onnx.NodeProto, index: int) -> str:
    """Return the name of input ``index`` of ``node``; empty where it was left out."""
    return str(node.input[index]) if index < len(node.input) else ""
