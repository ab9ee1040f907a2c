"""Which channels can be multiplied by the same factor, and which weights undo it.

Between a layer that writes a tensor and those that read it, channel ``c`` may be multiplied by any
``f_c > 0``: row ``c`` of the writer's weights and bias takes the factor in, column ``c`` of the
readers' weights takes it out. That holds through every ``h`` with ``h(f x) = f h(x)``: ReLU,
LeakyRelu and PReLU, pools, and the sum of tensors that have the same factors. So channels that
such operators connect form one group: a pair of layers as in Nagel et al., "Data-Free Quantization
Through Weight Equalization and Bias Correction" (ICCV 2019, section 4.1), or a channel of a whole
residual stream with all the blocks that write to it and read from it.

Groups are of channels, not of tensors. A shortcut of option A copies channel ``c`` to ``c + 8`` and
fills the others with zeros: those that it copies have one factor in both stages, and the others
start afresh. So do all channels behind a projection, which is a layer. Concat and Pad move channels
in the same way. A gate is multiplied with a tensor that may have factors, and has none
itself: what comes out of a sigmoid can't be undone.

ReLU6 is not homogeneous: its channels all end at 6, so they have to stay as they are. To end each
at the largest value that calibration images show instead is no way out. Channels of late layers
answer to few classes: on EfficientNet-Lite0, what 63 photos show of them is so far from what other
photos do that the logits of the float net have an SQNR of 11 dB, and of 12 dB with twice the room.

A little long: one function for each way in which an operator ties channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from resnet_deploy.arrays import Array
from resnet_deploy.graph.constants import constant, optional_input
from resnet_deploy.graph.layers import LAYOUT_KEY, is_plain_gemm
from resnet_deploy.passes.depthwise import channels_of
from resnet_deploy.passes.zero_pad_shortcut import COPIES_KEY
from resnet_deploy.quantization.kernels import group_of
from resnet_deploy.quantization.plan import WEIGHTED
from resnet_deploy.quantization.weights import channel_axis, weight_of

_PADS = 8
"""Of an image: before and behind each of its four axes."""

Groups = NDArray[np.intp]
"""The group of each channel of a tensor, ``(C,)``."""


@dataclass(frozen=True)
class ScaleGroups:
    """The groups of all channels of a graph, numbered from 0.

    ``of`` has the tensors whose channels may have factors; ``free`` says of each group ``(G,)``
    whether it may have one other than 1. ``layers`` are those that can take factors into their
    weights, in graph order.
    """

    of: dict[ir.Value, Groups]
    free: NDArray[np.bool_]
    layers: list[ir.Node]

    def fixed(self, values: Iterable[ir.Value]) -> ScaleGroups:
        """Return the groups with all channels of ``values`` left as they are."""
        free = self.free.copy()
        for value in values:
            if value in self.of:
                free[self.of[value]] = False
        return ScaleGroups(self.of, free, self.layers)

    def inputs(self, node: ir.Node) -> Groups | None:
        """Return the groups of what the layer ``node`` reads; None where they have no factors."""
        value = node.inputs[0]
        return None if value is None else self.of.get(value)


def scale_groups(model: ir.Model) -> ScaleGroups:
    """Return the groups of ``model``, whose nodes are sorted.

    Fixed are the channels of what anything else reads, and of the graph's outputs; the graph's
    inputs and what is computed from them without a layer are in no group.
    """
    ties = _Ties()
    layers = []
    for node in model.graph:
        if is_layer(node) and not _is_mean(node):
            layers.append(node)
            _read(ties, node)
            ties.of[node.outputs[0]] = ties.new(output_channels(node))
        elif (groups := _moved(ties, node)) is not None:
            ties.of[node.outputs[0]] = groups
        else:
            ties.fix(*node.inputs)
    ties.fix(*model.graph.outputs)
    return ties.settled(layers)


class _Ties:
    """Numbers of channels, and which of them belong together."""

    def __init__(self) -> None:
        self.of: dict[ir.Value, Groups] = {}
        self._count = 0
        self._pairs: list[tuple[Groups, Groups]] = []
        self._fixed: list[Groups] = []

    def new(self, channels: int) -> Groups:
        self._count += channels
        return np.arange(self._count - channels, self._count)

    def new_fixed(self, channels: int) -> Groups:
        self._fixed.append(self.new(channels))
        return self._fixed[-1]

    def tie(self, first: Groups, second: Groups) -> Groups:
        self._pairs.append((first, second))
        return first

    def fix(self, *values: ir.Value | None) -> None:
        self._fixed += [self.of[value] for value in values if value in self.of]

    def settled(self, layers: list[ir.Node]) -> ScaleGroups:
        """Number the groups: each channel takes the smallest number of those it is tied to."""
        number = np.arange(self._count)
        if self._pairs:
            first, second = (np.concatenate(side) for side in zip(*self._pairs, strict=True))
            while not np.array_equal(number[first], number[second]):
                smaller = np.minimum(number[first], number[second])
                np.minimum.at(number, number[first], smaller)
                np.minimum.at(number, number[second], smaller)
                number = number[number]
        while not np.array_equal(number, number[number]):
            number = number[number]
        roots, number = np.unique(number, return_inverse=True)
        free = np.ones(len(roots), np.bool_)
        for groups in self._fixed:
            free[number[groups]] = False
        return ScaleGroups({value: number[of] for value, of in self.of.items()}, free, layers)


def _read(ties: _Ties, node: ir.Node) -> None:
    """Fix what a layer reads in another order, such as pixels that a Flatten made channels."""
    source = node.inputs[0]
    if source in ties.of and len(ties.of[source]) != input_channels(node):
        ties.fix(source)


def _moved(ties: _Ties, node: ir.Node) -> Groups | None:
    """Return the groups of what ``node`` gives, None where it has no factors or can't have any."""
    if len(node.outputs) != 1 or all(value not in ties.of for value in node.inputs):
        return None
    if COPIES_KEY in node.metadata_props:
        return _copied(ties, node)
    if _is_homogeneous(node):
        return _of_input(ties, node)
    rule = _RULES.get(node.op_type)
    return None if rule is None else rule(ties, node)


def _of_input(ties: _Ties, node: ir.Node) -> Groups | None:
    source = node.inputs[0]
    return None if source is None else ties.of.get(source)


def _copied(ties: _Ties, node: ir.Node) -> Groups | None:
    """Option A's shortcut. A convolution may also shuffle channels, which are then left alone."""
    source, weight = _of_input(ties, node), constant(node.inputs[1])
    if source is None or weight is None or not weight.shape[1] == len(source) < len(weight):
        return None
    groups = ties.new(len(weight))
    to, come_from = np.nonzero(weight[:, :, 0, 0])
    groups[to] = source[come_from]
    return groups


def _padded(ties: _Ties, node: ir.Node) -> Groups | None:
    """A border around an image, or more channels of zeros."""
    groups, pads = _of_input(ties, node), constant(node.inputs[1])
    filler = constant(optional_input(node, 2))
    zeros = node.attributes.get_string("mode", "constant") != "constant" or (
        filler is None or not filler.any()
    )
    if groups is None or pads is None or len(pads) != _PADS or not zeros:
        return None
    if optional_input(node, 3) is not None or pads.min() < 0:
        return None
    return np.concatenate([ties.new(int(pads[1])), groups, ties.new(int(pads[5]))])


def _cut(ties: _Ties, node: ir.Node) -> Groups | None:
    """Rows and columns of an image."""
    axes = constant(optional_input(node, 3))
    return None if axes is None or not set(axes.ravel()) <= {2, 3} else _of_input(ties, node)


def _joined(ties: _Ties, node: ir.Node) -> Groups | None:
    axis = node.attributes.get_int("axis", 1)
    parts = []
    for value in node.inputs:
        channels = channels_of(value)
        if value is None or channels is None:
            return None
        groups = ties.of.get(value)
        parts.append(ties.new_fixed(channels) if groups is None else groups)
        if len(parts[-1]) != channels:
            return None
    if axis in (1, -3):
        return np.concatenate(parts)
    if axis not in (2, 3, -1, -2) or len({len(part) for part in parts}) > 1:
        return None
    for part in parts[1:]:
        ties.tie(parts[0], part)
    return parts[0]


def _added(ties: _Ties, node: ir.Node) -> Groups | None:
    first, second = (None if value is None else ties.of.get(value) for value in node.inputs)
    channels = {channels_of(value) for value in node.inputs}
    if first is None or second is None or len(channels) > 1 or channels == {None}:
        return None
    return ties.tie(first, second) if len(first) == len(second) else None


def _gated(ties: _Ties, node: ir.Node) -> Groups | None:
    """A product with what has no factors: a gate or a constant."""
    found = [ties.of[value] for value in node.inputs if value in ties.of]
    one = len(found) == 1 and channels_of(node.outputs[0]) == len(found[0])
    return found[0] if one else None


def _turned(ties: _Ties, node: ir.Node) -> Groups | None:
    """Channels last around a widened convolution, or of an image of one pixel."""
    producer = None if node.inputs[0] is None else node.inputs[0].producer()
    pixel = producer is not None and producer.op_type == "GlobalAveragePool"
    return _of_input(ties, node) if pixel or LAYOUT_KEY in node.metadata_props else None


def _narrowed(ties: _Ties, node: ir.Node) -> Groups | None:
    """A widened convolution gives one image after the other along its channels."""
    groups, shape = _of_input(ties, node), constant(optional_input(node, 1))
    if groups is None or shape is None or LAYOUT_KEY not in node.metadata_props:
        return None
    channels = int(shape[-1])
    if channels <= 0 or len(groups) % channels:
        return None
    for image in groups.reshape(-1, channels):
        ties.tie(groups[:channels], image)
    return groups[:channels]


_RULES: dict[str, Callable[[_Ties, ir.Node], Groups | None]] = {
    "Add": _added,
    "Concat": _joined,
    "Mul": _gated,
    "Pad": _padded,
    "Reshape": _narrowed,
    "Slice": _cut,
    "Transpose": _turned,
}
"""Operators that move, tie or keep channels, besides those that work on each by itself."""

_HOMOGENEOUS = frozenset(
    {"Relu", "LeakyRelu", "PRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"}
)


def _is_homogeneous(node: ir.Node) -> bool:
    """Whether factors of channels pass through ``node``, which works on each channel by itself."""
    if node.op_type == "Clip":  # without an upper end it is a ReLU
        low = constant(optional_input(node, 1))
        return low is not None and float(low) == 0.0 and optional_input(node, 2) is None
    if node.op_type == "Flatten":
        return node.attributes.get_int("axis", 1) == 1
    return node.op_type in _HOMOGENEOUS or _is_mean(node)


def _is_mean(node: ir.Node) -> bool:
    """Whether ``node`` is the convolution that int8 makes of an average pool."""
    weight, bias = (constant(optional_input(node, place)) for place in (1, 2))
    if node.op_type != "Conv" or weight is None or (bias is not None and bias.any()):
        return False
    return len(weight) == group_of(node) and bool(weight.min() == weight.max() > 0)


def is_layer(node: ir.Node) -> bool:
    """Whether factors can be moved into the weights of ``node``."""
    if node.op_type == "Gemm" and not is_plain_gemm(node):
        return False
    return (
        node.op_type in WEIGHTED
        and COPIES_KEY not in node.metadata_props
        and node.inputs[0] is not None
        and constant(node.inputs[1]) is not None
        and (len(node.inputs) < 3 or constant(node.inputs[2]) is not None)
    )


def output_channels(node: ir.Node) -> int:
    """Return the output channels of a Conv or Gemm."""
    return int(weight_of(node).shape[channel_axis(node)])


def input_channels(node: ir.Node) -> int:
    """Return the input channels of a Conv or Gemm, those of all groups."""
    weight = weight_of(node)
    if node.op_type == "Gemm":
        return int(weight.shape[1 - channel_axis(node)])
    return int(weight.shape[1]) * group_of(node)


def by_group(node: ir.Node, weight: Array) -> Array:
    """Return the weights ``(groups, outputs of a group, inputs of a group, taps)``."""
    if node.op_type == "Gemm":
        return (weight if channel_axis(node) == 0 else weight.T)[None, :, :, None]
    groups = group_of(node)
    return weight.reshape(groups, len(weight) // groups, weight.shape[1], -1)


def with_inputs_times(node: ir.Node, weight: Array, factors: Array) -> Array:
    """Return ``weight`` with what belongs to input channel ``c`` times ``factors[c]``."""
    if node.op_type == "Gemm":
        return np.asarray(weight * (factors if channel_axis(node) == 0 else factors[:, None]))
    shaped = factors.reshape(group_of(node), 1, -1, 1)
    return np.asarray((by_group(node, weight) * shaped).reshape(weight.shape))


def with_outputs_times(node: ir.Node, weight: Array, factors: Array) -> Array:
    """Return ``weight`` with what belongs to output channel ``c`` times ``factors[c]``."""
    shape = [1] * weight.ndim
    shape[channel_axis(node)] = len(factors)
    return np.asarray(weight * factors.reshape(shape))
