"""Layers on a vector, between changes of shape  =>  convolutions on an image of one pixel.

Channel attention pools an image to one pixel, computes a gate from it and multiplies. PyTorch code
reshapes on the way: to ``(N, C)`` for linear layers (squeeze-and-excitation), to ``(N, 1, C)`` for
a convolution along the channels (ECA). In int8 each of these shapes costs a change of layout.

All of them hold the same numbers in the same order, as long as the batch is the first dimension and
one other has all values. So the whole chain is computed on ``(N, C, 1, 1)``: a linear layer is a
1x1 convolution, elementwise operators stay, and a convolution along ``(N, 1, C)`` is one along the
height of ``(N, 1, C, 1)``, a Transpose away, which costs nothing where the memory does not move.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from resnet_deploy.graph.constants import constant, ints, new_initializer, optional_input
from resnet_deploy.graph.layers import auto_pad, is_plain_gemm
from resnet_deploy.passes.result import PassResult, rewrite_each

_SHAPES = ("Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""Operators that may change nothing but the shape."""

_ELEMENTWISE = frozenset({"Clip", "HardSigmoid", "HardSwish", "LeakyRelu", "Relu", "Sigmoid"})
"""Of one tensor; further inputs are numbers."""

_TO_HEIGHT = (0, 2, 1, 3)
"""``(N, C, 1, 1)`` to ``(N, 1, C, 1)``, and back."""


def one_pixel(model: ir.Model) -> PassResult:
    """Rewrite every chain that begins and ends with an image of one pixel, ``(N, C, 1, 1)``.

    Refuses chains with other operators, shapes that are not known, and layers whose weights are
    computed at run time.
    """
    return rewrite_each(model, _SHAPES, _rewrite, candidate=_gives_one_pixel)


def _gives_one_pixel(node: ir.Node) -> bool:
    source = node.inputs[0]
    return _is_pixel(node.outputs[0]) and source is not None and not _is_pixel(source)


def _rewrite(graph: ir.Graph, last: ir.Node) -> str | None:
    output = last.outputs[0]
    if output.is_graph_output():
        return "its output is the graph's"
    chain = _chain(last)
    if isinstance(chain, str):
        return chain
    value, nodes = chain
    for node in reversed(nodes):
        if node.op_type not in _SHAPES:
            value = _on_one_pixel(graph, last, node, value)
    output.replace_all_uses_with(value)
    for node in nodes:
        if not any(result.uses() or result.is_graph_output() for result in node.outputs):
            graph.remove(node, safe=True)
    return None


def _chain(last: ir.Node) -> tuple[ir.Value, list[ir.Node]] | str:
    """Return the pixel that the chain begins with, and its nodes from the last to the first."""
    nodes = [last]
    while True:
        source = nodes[-1].inputs[0]
        if source is None or not _is_vector(source) or not _same_batch(source, last.outputs[0]):
            return "a tensor in front of it is not known to be a vector per image"
        if _is_pixel(source):
            return source, nodes
        node = source.producer()
        if node is None or (reason := _reason_against(node)) is not None:
            return "it does not begin with an image of one pixel" if node is None else str(reason)
        nodes.append(node)


def _reason_against(node: ir.Node) -> str | None:
    if node.op_type in _SHAPES:
        moved = node.op_type == "Transpose" and ints(node, "perm", (1,))[0] != 0
        return f"{node.name} moves the batch" if moved else None
    numbers = [constant(value) for value in node.inputs[1:] if value is not None]
    if any(number is None for number in numbers):
        return f"the parameters of {node.name} are computed at run time"
    if node.op_type in _ELEMENTWISE:
        return None
    if node.op_type == "Gemm":
        return None if is_plain_gemm(node) else f"{node.name} has factors or a transposed input"
    if node.op_type == "Conv" and numbers[0] is not None and numbers[0].shape[:2] == (1, 1):
        along = numbers[0].ndim == 3 and auto_pad(node) == "NOTSET"
        return None if along else f"{node.name} is not a convolution along one dimension"
    return f"{node.op_type} is in between"


def _on_one_pixel(graph: ir.Graph, anchor: ir.Node, node: ir.Node, x: ir.Value) -> ir.Value:
    """Return what ``node`` computes, as an image of one pixel; ``x`` is its input as one."""
    metadata = dict(node.metadata_props)
    name = str(node.name)
    if node.op_type in _ELEMENTWISE:
        copies = [ir.node(node.op_type, [x, *node.inputs[1:]], node.attributes, name=name)]
    elif node.op_type == "Gemm":
        weight = constant(node.inputs[1])
        assert weight is not None, "the chain has constant weights only"
        matrix = weight if node.attributes.get_int("transB", 0) else weight.T
        inputs = [x, new_initializer(graph, f"{name}.weight", matrix[:, :, None, None])]
        if (bias := constant(optional_input(node, 2))) is not None:
            each = np.broadcast_to(bias.reshape(-1), (len(matrix),))
            inputs.append(new_initializer(graph, f"{name}.bias", each))
        copies = [ir.node("Conv", inputs, {"kernel_shape": (1, 1)}, name=name)]
    else:
        copies = _along_channels(graph, node, x)
    graph.insert_before(anchor, copies)
    for copy in copies:
        copy.metadata_props.update(metadata)
        copy.outputs[0].type = x.type
    result = copies[-1].outputs[0]
    result.name = str(node.outputs[0].name)
    result.shape = ir.Shape([*_batch_and_channels(node.outputs[0]), 1, 1])
    node.outputs[0].name = f"{result.name}.as_it_was"
    return result


def _along_channels(graph: ir.Graph, conv: ir.Node, x: ir.Value) -> list[ir.Node]:
    weight = constant(conv.inputs[1])
    assert weight is not None, "the chain has constant weights only"
    before, after = ints(conv, "pads", (0, 0))
    attributes: dict[str, tuple[int, ...]] = {
        "kernel_shape": (weight.shape[2], 1),
        "pads": (before, 0, after, 0),
        "strides": (*ints(conv, "strides", (1,)), 1),
        "dilations": (*ints(conv, "dilations", (1,)), 1),
    }
    name = str(conv.name)
    there = ir.node("Transpose", [x], {"perm": _TO_HEIGHT}, name=f"{name}.to_height")
    kernel = new_initializer(graph, f"{name}.weight", weight[..., None])
    inputs = [there.outputs[0], kernel, *conv.inputs[2:]]
    tall = ir.node("Conv", inputs, attributes, name=name)
    back = ir.node("Transpose", [tall.outputs[0]], {"perm": _TO_HEIGHT}, name=f"{name}.to_channels")
    there.outputs[0].name, tall.outputs[0].name = str(there.name), f"{name}.along"
    return [there, tall, back]


def _is_pixel(value: ir.Value) -> bool:
    shape = value.shape
    return shape is not None and len(shape) == 4 and shape.dims[2:] == (1, 1) and _is_vector(value)


def _same_batch(first: ir.Value, second: ir.Value) -> bool:
    """Whether the first dimensions are the same, as far as they are numbers."""
    if first.shape is None or second.shape is None:
        return False
    one, other = first.shape[0], second.shape[0]
    return one == other or not (isinstance(one, int) and isinstance(other, int))


def _is_vector(value: ir.Value) -> bool:
    """Whether all dimensions behind the first are 1 except for at most one, which is known."""
    shape = value.shape
    if shape is None or len(shape) < 2:
        return False
    sizes = shape.dims[1:]
    return all(isinstance(size, int) for size in sizes) and sum(size != 1 for size in sizes) <= 1


def _batch_and_channels(value: ir.Value) -> tuple[ir.SymbolicDim | int, int]:
    assert value.shape is not None, "the chain has vectors only"
    sizes = [size for size in value.shape.dims[1:] if isinstance(size, int)]
    return value.shape[0], max(sizes)
