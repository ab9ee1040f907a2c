"""The channels of an image that a graph takes apart, changes and puts together again.

So exporters write ``x[:, ::-1]``, and a normalisation with other numbers for each channel:
Split, or one Gather or Slice per channel, then arithmetic, then Concat; or as a 1x1 convolution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from resnet_deploy.arrays import Array
from resnet_deploy.graph.constant_values import ConstantValues, input_of, int_of, ints_of

_ALIKE = frozenset(("Cast", "Identity", "Squeeze", "Unsqueeze"))
"""Operators that leave the values of one channel as they are."""

_AXES = 4
_CHANNELS = 3
_LONGEST = 64
"""Operators on one channel."""

FAR = 1 << 30
"""Slices to the end of an axis end here or later."""

Readers = Mapping[str, Sequence[onnx.NodeProto]]
"""By tensor, the nodes that read it."""


@dataclass(frozen=True, kw_only=True)
class Rejoined:
    """Three channels along ``axis``, which are along ``target`` in the tensor ``name``.

    ``factors`` and ``shifts`` are in the order there, which is the other one if ``reversed``.
    """

    axis: int
    target: int
    name: str
    reversed: bool
    factors: tuple[float, ...]
    shifts: tuple[float, ...]


@dataclass(frozen=True)
class _Part:
    """One channel: where it was taken from, and whether its axis was kept."""

    axis: int
    kept: bool
    number: int
    name: str


@dataclass(frozen=True)
class _End:
    """A channel where it is put beside the others."""

    name: str
    factor: float
    shift: float
    concat: onnx.NodeProto


def rejoined_channels(
    nodes: Sequence[onnx.NodeProto], readers: Readers, constants: ConstantValues
) -> Rejoined | None:
    """Return what becomes of an image that ``nodes``, all its readers, take apart.

    None where they don't, or do anything but scale, shift and reverse its three channels.
    """
    parts = sorted(_parts(nodes, constants), key=lambda part: part.number)
    places = {(part.axis, part.kept) for part in parts}
    if [part.number for part in parts] != list(range(_CHANNELS)) or len(places) > 1:
        return None
    axis, kept = places.pop()
    ends = [end for part in parts if (end := _end(part.name, readers, constants)) is not None]
    names = [end.name for end in ends]
    if len(ends) < _CHANNELS or any(end.concat is not ends[0].concat for end in ends):
        return None
    concat = ends[0].concat
    target = _axis(concat, 0)
    if sorted(names) != sorted(concat.input) or target is None or (kept and target != axis):
        return None
    order = [names.index(name) for name in concat.input]
    if order not in ([0, 1, 2], [2, 1, 0]):
        return None
    return Rejoined(
        axis=axis,
        target=target,
        name=concat.output[0],
        reversed=order == [2, 1, 0],
        factors=tuple(ends[number].factor for number in order),
        shifts=tuple(ends[number].shift for number in order),
    )


def scaled_channels(
    node: onnx.NodeProto, constants: ConstantValues
) -> tuple[bool, Array, Array] | None:
    """Return whether a 1x1 convolution reverses channels, their factors, and what it adds then.

    None where it mixes them, or does anything else.
    """
    weight, bias = (constants.value(input_of(node, index)) for index in (1, 2))
    if node.op_type != "Conv" or weight is None or (input_of(node, 2) and bias is None):
        return None
    if weight.ndim != _AXES or weight.shape[2:] != (1, 1) or len(weight) > _CHANNELS:
        return None
    if any(n != 1 for n in ints_of(node, "strides")) or any(ints_of(node, "pads")):
        return None
    matrix = weight[:, :, 0, 0].astype(np.float64)
    if int_of(node, "group", 1) == len(weight) and matrix.shape[1] == 1:
        matrix = np.diag(matrix[:, 0])
    if matrix.shape != (len(weight), len(weight)) or np.count_nonzero(matrix) != len(matrix):
        return None
    shifts = np.zeros(len(weight)) if bias is None else bias.astype(np.float64)
    for backwards in (False, True):
        factors = np.diag(matrix[:, ::-1] if backwards else matrix)
        if factors.all():
            return backwards, factors, shifts
    return None


def slices_of(
    node: onnx.NodeProto, constants: ConstantValues
) -> list[tuple[int, int, int, int]] | None:
    """Return axis, start, end and step of each axis that the Slice ``node`` cuts, if constant."""
    if len(node.input) == 1:  # before opset 10
        starts, ends, axes = (ints_of(node, name) for name in ("starts", "ends", "axes"))
        steps: tuple[int, ...] = (1,) * len(starts)
    else:
        said: dict[str, tuple[int, ...]] = {}
        for what, name in zip(("starts", "ends", "axes", "steps"), node.input[1:], strict=False):
            array = constants.value(name)
            if array is None and name:
                return None
            if array is not None:
                said[what] = tuple(int(n) for n in array.ravel())
        starts, ends = said.get("starts", ()), said.get("ends", ())
        axes, steps = said.get("axes", ()), said.get("steps", (1,) * len(starts))
    axes = axes or tuple(range(len(starts)))
    if len({len(starts), len(ends), len(axes), len(steps)}) > 1:
        return None
    if not all(-_AXES <= axis < _AXES for axis in axes):
        return None
    turned = [axis % _AXES for axis in axes]
    return list(zip(turned, starts, ends, steps, strict=True))


def _axis(node: onnx.NodeProto, default: int) -> int | None:
    axis = int_of(node, "axis", default)
    return axis % _AXES if -_AXES <= axis < _AXES else None


def _parts(nodes: Sequence[onnx.NodeProto], constants: ConstantValues) -> list[_Part]:
    """Return the channels that ``nodes`` take; none where one of them takes anything else."""
    if len(nodes) == 1 and nodes[0].op_type == "Split":
        axis = _axis(nodes[0], 0)
        if axis is None:
            return []
        return [_Part(axis, True, number, name) for number, name in enumerate(nodes[0].output)]
    found = [_part(node, constants) for node in nodes]
    return [part for part in found if part is not None] if None not in found else []


def _part(node: onnx.NodeProto, constants: ConstantValues) -> _Part | None:
    if node.op_type == "Gather":
        indices, place = constants.value(input_of(node, 1)), _axis(node, 0)
        if indices is None or indices.size != 1 or place is None:
            return None
        return _Part(place, indices.ndim == 1, int(indices.item()) % _CHANNELS, node.output[0])
    slices = slices_of(node, constants) if node.op_type == "Slice" else None
    if slices is None or len(slices) != 1:
        return None
    axis, start, end, step = slices[0]
    number = start % _CHANNELS
    last = number == _CHANNELS - 1 and end >= FAR
    if step != 1 or not (end == start + 1 or last):
        return None
    return _Part(axis, True, number, node.output[0])


def _end(name: str, readers: Readers, constants: ConstantValues) -> _End | None:
    """Follow one channel to a Concat; None where it gets there in no affine way."""
    factor, shift = 1.0, 0.0
    for _ in range(_LONGEST):
        nodes = readers.get(name, ())
        if len(nodes) != 1 or not nodes[0].output:
            return None
        node = nodes[0]
        if node.op_type == "Concat":
            return _End(name, factor, shift, node)
        if node.op_type not in _ALIKE:
            first = input_of(node, 0) == name
            operand = constants.value(input_of(node, int(first)))
            if operand is None or operand.size != 1:
                return None
            by = float(operand.item())
            match node.op_type:
                case "Mul":
                    factor, shift = factor * by, shift * by
                case "Div" if first and by:
                    factor, shift = factor / by, shift / by
                case "Add":
                    shift += by
                case "Sub":
                    factor, shift = (factor, shift - by) if first else (-factor, by - shift)
                case _:
                    return None
        name = node.output[0]
    return None
