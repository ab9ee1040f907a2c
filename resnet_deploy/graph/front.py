"""What stands between a graph's image and its first convolution.

Exporters put normalisation, a change of the layout or of the channels' order into the graph;
:mod:`resnet_deploy.graph.front_options` reads from it what the input is. What was folded into the
convolution's weights can't be seen. It is one walk, and long because it has a case for each of the
operators that exporters put there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from resnet_deploy.arrays import Array
from resnet_deploy.graph.channel_parts import FAR, rejoined_channels, scaled_channels, slices_of
from resnet_deploy.graph.constant_values import ConstantValues, input_of, int_of, ints_of
from resnet_deploy.graph.value_limits import limits_of
from resnet_deploy.spec import Layout

_PASSED = frozenset(
    ("Cast", "Ceil", "Dropout", "Floor", "Identity", "Max", "Min", "Pad", "Resize", "Round")
).union(("DequantizeLinear", "DynamicQuantizeLinear", "Upsample"))
"""Operators that leave the values of an image as they are, or nearly so."""

_CONVOLUTIONS = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3}
"""Operators that convolve, and which of their inputs is the weight."""

_MOST_VALUES = 1 << 22
_AXES = 4
_RGB = 3
_REVERSED = (2, 1, 0)
Numbers = tuple[float, ...]
Bounds = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Front:
    """What stands in front of the first convolution.

    ``channels`` are the input's. ``reverses``: the graph turns RGB into BGR, or back. A value ``x``
    of the input becomes ``scale * x + offset``, per channel in the input's order; None where it is
    no such map. ``statistics`` are mean and standard deviation, likewise, that a BatchNormalization
    remembers of the input; ``limits`` those of a Clip, or what the input's int8 codes reach.
    """

    layout: Layout | None = None
    channels: int | None = None
    reverses: bool = False
    scale: Numbers | None = None
    offset: Numbers | None = None
    statistics: tuple[Numbers, Numbers] | None = None
    limits: Bounds | None = None


def front_of(graph: onnx.GraphProto) -> Front:
    """Return what stands in front of the first convolution of ``graph``, whose input is 4-D."""
    walk = _Walk(graph)
    walk.go()
    return walk.found()


class _Walk:
    """Follows the image from the input on.

    ``_scale`` and ``_offset`` are laid out as the image is here: what turns it turns them.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        stored = {tensor.name for tensor in graph.initializer}
        image = next(value for value in graph.input if value.name not in stored)
        dims = image.type.tensor_type.shape.dim
        self._dims = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims)
        self._name = image.name
        self._constants = ConstantValues(graph)
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in dict.fromkeys(node.input):
                self._readers.setdefault(name, []).append(node)
        self._most_steps = len(graph.node)
        self._axes = tuple(range(_AXES))  # axis i of the image here is axis _axes[i] of the input
        self._reversed: set[int] = set()  # axes of the input that run backwards here
        self._scale, self._offset = np.ones((1,) * _AXES), np.zeros((1,) * _AXES)
        self._statistics: tuple[Array, Array] | None = None
        self._limits: Bounds | None = None
        self._weight: tuple[int, ...] | None = None
        self._groups = 1
        self._arrived = False
        self._steps: Mapping[str, Callable[[onnx.NodeProto], bool]] = {
            **dict.fromkeys(_PASSED, lambda node: True),
            **dict.fromkeys(("Add", "Sub", "Mul", "Div"), self._calculate),
            "Transpose": self._transpose,
            "Reshape": self._reshape,
            "Gather": self._gather,
            "Slice": self._slice,
            "Clip": self._limit,
            "QuantizeLinear": self._limit,
            "BatchNormalization": self._normalize,
        }

    def go(self) -> None:
        """Walk to the first convolution, or to where it is not clear any more."""
        for _ in range(self._most_steps):
            readers = [
                node for node in self._readers.get(self._name, ()) if node.op_type != "Shape"
            ]
            if not readers:
                return
            node = readers[0]
            if node.op_type in _CONVOLUTIONS:
                if len(readers) == 1 and self._convolve_pixels(node):
                    self._name = node.output[0]
                    continue
                index = _CONVOLUTIONS[node.op_type]
                name = input_of(node, index)
                self._weight, self._groups = self._constants.shape(name), int_of(node, "group", 1)
                self._arrived = True
                return
            if len(readers) > 1 or node.op_type == "Split":
                if not self._by_channel(readers):
                    return
                continue
            step = self._steps.get(node.op_type)
            if step is None or not node.output or not step(node):
                return
            self._name = node.output[0]

    def found(self) -> Front:
        """Return what was found up to there."""
        place = self._axes.index(axis) if (axis := self._channel_axis()) is not None else None
        if axis is None or place is None:
            return Front(limits=self._limits)
        channels = self._dims[axis]
        if channels is None and self._weight is not None and len(self._weight) > 1:
            channels = self._weight[1] * self._groups
        reverses = axis in self._reversed
        layout = {1: Layout.NCHW, 3: Layout.NHWC}[axis]

        def numbers(values: Array) -> Numbers | None:
            """Per channel of the input; of a mean image, its mean."""
            vector = values.mean(axis=tuple(n for n in range(_AXES) if n != place))
            if channels is None or vector.size not in (1, channels) or channels > _AXES:
                return None
            vector = np.broadcast_to(vector, (channels,))
            if not np.isfinite(vector).all():
                return None
            return tuple(float(value) for value in (vector[::-1] if reverses else vector))

        scale, offset = numbers(self._scale), numbers(self._offset)
        known = self._arrived and scale is not None and offset is not None
        remembered = None
        if self._statistics is not None and self._arrived:
            mean, std = (numbers(values) for values in self._statistics)
            remembered = None if mean is None or std is None else (mean, std)
        return Front(
            layout=layout,
            channels=channels,
            reverses=reverses,
            scale=scale if known else None,
            offset=offset if known else None,
            statistics=remembered,
            limits=self._limits,
        )

    def _channel_axis(self) -> int | None:
        """Return which axis of the input is that of its channels: 1 or 3, or None."""
        if self._arrived or self._axes == (0, 3, 1, 2):
            axis = self._axes[1]
            return axis if axis in (1, 3) else None
        likely = [axis for axis in (1, 3) if self._dims[axis] in (1, _RGB)]
        return likely[0] if len(likely) == 1 else None

    def _calculate(self, node: onnx.NodeProto) -> bool:
        """Add, Sub, Mul or Div of a constant, that of a whole image included."""
        first = input_of(node, 0) == self._name
        operand = self._constants.value(input_of(node, int(first)))
        if operand is None or operand.ndim > _AXES or (node.op_type == "Div" and not first):
            return False
        if self._statistics is not None:
            return True  # what was normalised already tells nothing of the input
        operand = operand.astype(np.float64).reshape((1,) * (_AXES - operand.ndim) + operand.shape)
        return self._apply(node.op_type, operand, first=first)

    def _apply(self, op_type: str, operand: Array, *, first: bool = True) -> bool:
        try:
            shape = np.broadcast_shapes(self._scale.shape, self._offset.shape, operand.shape)
        except ValueError:
            return False
        if math.prod(shape) > _MOST_VALUES:
            return False
        with np.errstate(all="ignore"):
            if op_type in ("Mul", "Div"):
                factor = operand if op_type == "Mul" else 1 / operand
                self._scale, self._offset = self._scale * factor, self._offset * factor
            elif op_type == "Sub" and not first:
                self._scale, self._offset = -self._scale, operand - self._offset
            else:
                self._offset = self._offset + (operand if op_type == "Add" else -operand)
        return True

    def _transpose(self, node: onnx.NodeProto) -> bool:
        perm = ints_of(node, "perm") or tuple(reversed(range(_AXES)))
        if sorted(perm) != list(range(_AXES)):
            return False
        self._axes = tuple(self._axes[axis] for axis in perm)
        self._scale, self._offset = self._scale.transpose(perm), self._offset.transpose(perm)
        if self._statistics is not None:
            mean, std = self._statistics
            self._statistics = mean.transpose(perm), std.transpose(perm)
        return True

    def _reshape(self, node: onnx.NodeProto) -> bool:
        """Only to the same shape."""
        shape = self._constants.value(input_of(node, 1))
        wanted = ints_of(node, "shape") if shape is None else tuple(int(n) for n in shape.ravel())
        if len(wanted) != _AXES:
            return False
        have = [self._dims[axis] for axis in self._axes]
        same = [size in (0, -1, known) for size, known in zip(wanted, have, strict=True)]
        return all(same[1:]) and (same[0] or have[0] is None)

    def _gather(self, node: onnx.NodeProto) -> bool:
        """Only of all channels, in their order or the other."""
        indices = self._constants.value(input_of(node, 1))
        axis = int_of(node, "axis", 0)
        if indices is None or indices.ndim != 1 or not -_AXES <= axis < _AXES:
            return False
        order = tuple(int(index) % _RGB for index in indices)
        if order == _REVERSED:
            self._turn(axis % _AXES)
        return order in (_REVERSED, (0, 1, 2))

    def _slice(self, node: onnx.NodeProto) -> bool:
        """Only of whole axes, forwards or backwards."""
        slices = slices_of(node, self._constants)
        if slices is None:
            return False
        for axis, start, end, step in slices:
            size = self._dims[self._axes[axis]]
            length = _RGB if size is None else size
            backwards = step == -1 and (start in (-1, length - 1) or start >= FAR) and end < -length
            if backwards:
                self._turn(axis)
            elif step != 1 or start != 0 or end < (FAR if size is None else size):
                return False
        return True

    def _turn(self, axis: int) -> None:
        """The image runs backwards along ``axis`` from here on."""
        self._reversed ^= {self._axes[axis]}
        self._scale, self._offset = np.flip(self._scale, axis), np.flip(self._offset, axis)

    def _limit(self, node: onnx.NodeProto) -> bool:
        """Clip or QuantizeLinear: their limits are the input's if nothing was done to it yet."""
        untouched = (self._scale == 1).all() and (self._offset == 0).all()
        if self._limits is None and untouched and self._statistics is None:
            self._limits = limits_of(node, self._constants)
        return True

    def _normalize(self, node: onnx.NodeProto) -> bool:
        vectors = [self._constants.value(name) for name in node.input[1:5]]
        if len(vectors) < 4 or any(vector is None or vector.ndim != 1 for vector in vectors):
            return False
        if self._statistics is None:
            epsilon = next((given.f for given in node.attribute if given.name == "epsilon"), 1e-5)
            _, _, mean, variance = (
                np.asarray(vector, np.float64).reshape(1, -1, 1, 1) for vector in vectors
            )
            with np.errstate(all="ignore"):
                found = (
                    (mean - self._offset) / self._scale,
                    np.sqrt(variance + epsilon) / np.abs(self._scale),
                )
            self._statistics = found
        return True

    def _convolve_pixels(self, node: onnx.NodeProto) -> bool:
        """Apply a 1x1 convolution that only scales, shifts or reverses the channels, if it does."""
        found = scaled_channels(node, self._constants)
        if found is None or self._statistics is not None:
            return False
        backwards, factors, shifts = found
        if backwards:
            self._turn(1)
        scaled = self._apply("Mul", factors.reshape(1, -1, 1, 1))
        return scaled and self._apply("Add", shifts.reshape(1, -1, 1, 1))

    def _by_channel(self, readers: list[onnx.NodeProto]) -> bool:
        """Channels that are taken apart and put together again, in their order or the other."""
        found = rejoined_channels(readers, self._readers, self._constants)
        if found is None or self._statistics is not None:
            return False
        if found.reversed:
            self._turn(found.axis)
        along = [1] * _AXES
        along[found.axis] = _RGB
        factors, shifts = (np.array(n).reshape(along) for n in (found.factors, found.shifts))
        if not (self._apply("Mul", factors) and self._apply("Add", shifts)):
            return False
        order = [axis for axis in range(_AXES) if axis != found.axis]
        order.insert(found.target, found.axis)
        self._axes = tuple(self._axes[axis] for axis in order)
        self._scale, self._offset = self._scale.transpose(order), self._offset.transpose(order)
        self._name = found.name
        return True
