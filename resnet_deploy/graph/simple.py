"""Whether a graph is as simple as onnxsim could make it.

onnxsim folds constants and shapes, and fuses or drops what its list of passes names. A graph with
operators of a few kinds, each computing from the image, has nothing for any of these passes: asking
onnxsim would take seconds and change nothing.

Source: the passes of onnxoptimizer, ``onnxoptimizer/passes/*.h``.
"""

from __future__ import annotations

import onnx

_POOLS = frozenset({"AveragePool", "GlobalAveragePool", "MaxPool"})

_ONE_INPUT = _POOLS | {"Clip", "Conv", "Flatten", "Gemm", "Relu", "Sigmoid", "Softmax"}
"""Operators that compute from their first input; the others are parameters."""

_TWO_INPUTS = frozenset({"Add", "Mul"})
"""A constant on one side would be a bias, or nothing: onnxsim fuses or drops it."""


def is_simple(model: onnx.ModelProto) -> bool:
    """Whether onnxsim has nothing to do in ``model``: constants to fold, operators to fuse or drop.

    False where that can't be told.
    """
    graph = model.graph
    outputs = {value.name for value in graph.output}
    shaped = outputs | {value.name for value in graph.value_info}
    producers = {name: node for node in graph.node for name in node.output}
    computed = {*(value.name for value in graph.input[:1]), *producers}
    read = outputs | {name for node in graph.node for name in node.input}
    return (
        not model.functions
        and read.issuperset(tensor.name for tensor in graph.initializer)
        and read.issuperset(producers)
        and shaped.issuperset(producers)
        and len({_what(node) for node in graph.node}) == len(graph.node)
        and all(
            _computes(node, computed) and _changes(node, producers.get(node.input[0]))
            for node in graph.node
        )
    )


def _what(node: onnx.NodeProto) -> tuple[str, ...]:
    """Return what ``node`` computes; two of the same are one to onnxsim."""
    attributes = sorted(
        given.SerializeToString(deterministic=True).hex() for given in node.attribute
    )
    return (node.op_type, *node.input, "", *attributes)


def _computes(node: onnx.NodeProto, computed: set[str]) -> bool:
    """Whether ``node`` is of a kind that stays as it is, and computes from the image."""
    if node.domain not in ("", "ai.onnx"):
        return False
    if node.op_type in _TWO_INPUTS:
        return computed.issuperset(node.input)
    return node.op_type in _ONE_INPUT and node.input[0] in computed


def _changes(node: onnx.NodeProto, producer: onnx.NodeProto | None) -> bool:
    """Whether ``node`` does something to what ``producer`` gives."""
    before = None if producer is None else producer.op_type
    if node.op_type == "Relu":
        return before != "Relu"
    # Of two dimensions a Flatten would change nothing.
    return node.op_type != "Flatten" or before in _POOLS
