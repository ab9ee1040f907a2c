"""Factors of channels where float and int8 meet, and codes finer than 256, in the graph.

All channels of a tensor share one u8 scale. Beside float operators each can have a factor of its
own: a Mul there, and the inverse in the weights of the int8 layers. Where 256 levels a channel are
too few, a tensor is given to its readers in two parts, as twice as many channels with the same
weights, more or less:

- :func:`finer` splits ``y = x 255 / high`` into ``floor(y)``, which is a code, and ``8 (y -
  floor(y))``, whose weights are an eighth: eleven bits in all.
- :func:`halves` lets an int8 layer with a ReLU give ``min(y, T)`` and ``relu(y - T)``, which add up
  to ``relu(y)``: nine bits. Its u8 result is cut off at ``T`` by itself.

Both double the work of a layer, so they are for the first tensor of a small net, and for vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.graph.constants import (
    constant,
    new_initializer,
    optional_input,
    set_parameters,
)
from resnet_deploy.graph.layers import FLOAT_KEY, STREAM
from resnet_deploy.graph.module_names import module_metadata
from resnet_deploy.quantization.kernels import group_of
from resnet_deploy.quantization.scale_groups import with_inputs_times, with_outputs_times
from resnet_deploy.quantization.weights import channel_axis, weight_of

CODES_KEY = "resnet_deploy.codes"
"""Marks the node whose result is in whole codes, and says what one code is there."""

_LARGEST_CODE = 255
_FINER = 8.0
"""Steps of the second part in one of the first; more would leave its weights too few codes."""

_HEADROOM = 2.0
"""How far beyond what calibration shows :func:`finer` reaches: it has bits to spare."""

_HALVES_HEADROOM = 1.25
"""The same of :func:`halves`."""


def takes_two_parts(node: ir.Node) -> bool:
    """Whether the weights of ``node``, a layer, can be repeated for a second part of its input."""
    return node.op_type == "Gemm" or (node.op_type == "Conv" and group_of(node) == 1)


def finer(graph: ir.Graph, value: ir.Value, readers: Sequence[ir.Node], highs: Array) -> None:
    """Give ``readers`` the float ``value`` in codes of eleven bits.

    ``value`` is never negative, and up to ``highs`` ``(C,)``; all of ``readers`` take two parts.
    """
    steps = _LARGEST_CODE / (_HEADROOM * highs)
    for node in readers:
        set_weight(
            graph,
            node,
            np.concatenate(
                [with_inputs_times(node, _weight(node), 1 / steps / part) for part in (1, _FINER)],
                axis=_input_axis(node),
            ),
        )
    chain = Chain(graph, value)
    scaled = chain.add("Mul", [value, chain.per_channel("factors", steps)], "by_channel")
    whole = chain.add("Floor", [scaled], "floor")
    rest = chain.add("Sub", [scaled, whole], "rest")
    fine = chain.add("Mul", [rest, chain.constant("finer", np.array(_FINER, np.float32))], "fine")
    codes = chain.add("Concat", [whole, fine], "codes", axis=1, channels=2 * len(highs))
    _mark(codes, 1.0)
    replace_reads(readers, value, codes)


def halves(
    graph: ir.Graph,
    writer: ir.Node,
    value: ir.Value,
    readers: Sequence[ir.Node],
    behind: Sequence[ir.Node],
    highs: Array,
) -> str:
    """Let ``writer`` give ``value``, which is behind its Relu, in two halves of 256 levels each.

    ``readers`` are int8 layers, which take two parts; ``behind`` are float operators, which read
    the sum. Returns the name of that.
    """
    widest = float(highs.max())
    factors = widest / highs
    end = _HALVES_HEADROOM * widest / 2
    count = len(highs)
    weight = with_outputs_times(writer, _weight(writer), factors)
    bias = _bias(writer) * factors
    relu = value.producer()
    assert relu is not None, "it is behind a Relu"
    weights, biases = np.concatenate([weight, weight]), np.concatenate([bias, bias - end])
    set_parameters(graph, writer, str(writer.name), weights, biases)
    _widen(writer.outputs[0], 2 * count)
    for node in readers:
        part = with_inputs_times(node, _weight(node), 1 / factors)
        set_weight(graph, node, np.concatenate([part, part], axis=_input_axis(node)))
    chain = Chain(graph, value, stream=False)
    bounds = (("low", 0.0), ("high", end))
    ends = [chain.constant(name, np.array(bound, np.float32)) for name, bound in bounds]
    both = chain.add("Clip", [writer.outputs[0], *ends], "halves", channels=2 * count)
    _mark(both, end / _LARGEST_CODE)
    chain.stream = True
    parts = []
    for name, start in (("lower", 0), ("upper", count)):
        places = [np.array([place], np.int64) for place in (start, start + count, 1)]
        given = [chain.constant(f"{name}.{index}", place) for index, place in enumerate(places)]
        parts.append(chain.add("Slice", [both, *given], name))
    whole = chain.add("Add", parts, "whole")
    unscaled = chain.add("Mul", [whole, chain.per_channel("factors", 1 / factors)], "by_channel")
    replace_reads(readers, value, both)
    replace_reads(behind, value, unscaled)
    graph.remove(relu, safe=True)
    return str(unscaled.name)


def multiply(graph: ir.Graph, value: ir.Value, readers: Sequence[ir.Node], factors: Array) -> str:
    """Put a Mul by ``factors`` ``(C,)`` between ``value`` and its ``readers``; return its name."""
    chain = Chain(graph, value)
    scaled = chain.add("Mul", [value, chain.per_channel("factors", factors)], "by_channel")
    replace_reads(readers, value, scaled)
    return str(scaled.name)


def scale(
    graph: ir.Graph,
    node: ir.Node,
    times: Callable[[ir.Node, Array, Array], Array],
    factors: Array,
    *,
    bias: bool = False,
) -> None:
    """Multiply the weights of ``node``, and its ``bias`` if asked, by ``factors`` of channels."""
    weight = times(node, _weight(node), factors)
    set_parameters(graph, node, str(node.name), weight, _bias(node) * (factors if bias else 1.0))


def set_weight(graph: ir.Graph, node: ir.Node, weight: Array) -> None:
    """Give ``node`` another weight; its bias stays."""
    set_parameters(graph, node, str(node.name), weight, _bias(node))


def replace_reads(readers: Iterable[ir.Node], old: ir.Value, new: ir.Value) -> None:
    """Let ``readers`` read ``new`` wherever they read ``old``."""
    for node in readers:
        for index, source in enumerate(node.inputs):
            if source is old:
                node.replace_input_with(index, new)


class Chain:
    """New operators, one behind the other, behind the one that gives ``value``."""

    def __init__(self, graph: ir.Graph, value: ir.Value, *, stream: bool = True) -> None:
        producer = value.producer()
        assert producer is not None, "an operator computes it"
        assert value.shape is not None, "sums have shapes, and so has what they add"
        self.stream = stream
        self._graph, self._value, self._last = graph, value, producer
        self._module = module_metadata(producer)

    def add(
        self,
        op_type: str,
        inputs: Sequence[ir.Value],
        name: str,
        *,
        axis: int | None = None,
        channels: int | None = None,
    ) -> ir.Value:
        """Return the result, called after the value; it has its shape, except for ``channels``."""
        name = f"{self._value.name}.{name}"
        metadata = {**self._module, **({FLOAT_KEY: STREAM} if self.stream else {})}
        attributes = {} if axis is None else {"axis": axis}
        node = ir.node(op_type, inputs, attributes, name=name, metadata_props=metadata)
        output = node.outputs[0]
        output.name, output.type, output.shape = name, self._value.type, self._value.shape
        if channels is not None:
            _widen(output, channels)
        self._graph.insert_after(self._last, node)
        self._last = node
        return output

    def constant(self, name: str, array: Array) -> ir.Value:
        """Return ``array`` as a constant called after the value."""
        return new_initializer(self._graph, f"{self._value.name}.{name}", np.asarray(array))

    def per_channel(self, name: str, factors: Array) -> ir.Value:
        """Return ``factors`` ``(C,)`` as a constant that is broadcast over images."""
        assert self._value.shape is not None, "checked when it began"
        shape = [1, -1, *[1] * (len(self._value.shape) - 2)]
        return self.constant(name, factors.astype(np.float32).reshape(shape))


def _widen(value: ir.Value, channels: int) -> None:
    assert value.shape is not None, "shapes were inferred"
    value.shape = ir.Shape([value.shape[0], channels, *value.shape[2:]])


def _mark(value: ir.Value, code: float) -> None:
    producer = value.producer()
    assert producer is not None, "it was just inserted"
    producer.metadata_props[CODES_KEY] = str(code)


def _input_axis(node: ir.Node) -> int:
    return 1 if node.op_type == "Conv" else 1 - channel_axis(node)


def _weight(node: ir.Node) -> Array:
    return weight_of(node).astype(np.float64)


def _bias(node: ir.Node) -> Array:
    bias = constant(optional_input(node, 2))
    assert bias is not None, "every layer has a bias of its own by now"
    return bias.astype(np.float64)
