"""Operators on ``(N, H, W, C)`` between two changes of layout  =>  the same on ``(N, C, H, W)``.

TensorFlow computes with channels last and ONNX with channels first, so converters (tf2onnx) put a
Transpose in front of every convolution and another one behind it. With ``T`` the change to
channels last, ``f(T(x)) = T(f'(x))``: ``f'`` is ``f`` with its axes, pads and constants turned. So
each ``T`` moves towards the end of the graph until it meets its inverse, and both go. A mean over
the image without its axes ends there: ``mean_hw(T(x))`` is ``mean_hw(x)``.

A graph whose input has channels last begins with the inverse alone. Where that stands behind a
Pad (Keras' ``ZeroPadding2D``), ``T`` is put in front of the Pad, behind its inverse: next to a
convolution the Pad goes into its window.

It is one walk, and long because each kind of operator turns its own axes, pads and constants.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.graph.constants import (
    constant,
    drop_unused,
    ints,
    new_initializer,
    optional_input,
)
from resnet_deploy.passes.result import PassResult

_LAST: Final = (0, 2, 3, 1)
"""The change from channels first to channels last."""

_FIRST: Final = (0, 3, 1, 2)
_RANK: Final = 4

_BY_ELEMENT = frozenset(
    (
        *("Relu", "LeakyRelu", "Elu", "Selu", "Celu", "ThresholdedRelu", "PRelu", "Clip"),
        *("Sigmoid", "HardSigmoid", "HardSwish", "Swish", "Mish", "Gelu", "Tanh", "Softplus"),
        *("Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Sum", "Mean"),
        *("Neg", "Abs", "Exp", "Sqrt", "Reciprocal", "Erf", "Dropout", "Identity", "Cast"),
    )
)
"""Operators that treat every element alike, or with the element of another tensor or constant."""


def channels_first(model: ir.Model) -> PassResult:
    """Move every Transpose to channels last behind the operators that read it; drop pairs.

    Operators that mix the axes, or read a tensor in another layout too, stay as they are.
    """
    graph = model.graph
    nodes = list(graph)
    count = _turn_input(graph)
    for node in nodes:
        if node.op_type == "Transpose":
            count += _meet(graph, node)
        elif any(_turned(value) is not None for value in node.inputs):
            count += _push(graph, node)
        else:
            count += _spread(graph, node)
    return PassResult(count)


def _turned(value: ir.Value | None) -> ir.Value | None:
    """Return the tensor with channels first that ``value`` is with channels last."""
    producer = None if value is None else value.producer()
    if producer is None or producer.op_type != "Transpose":
        return None
    return producer.inputs[0] if ints(producer, "perm", ()) == _LAST else None


def _turn_input(graph: ir.Graph) -> int:
    """Change the input to channels first and back, where a Pad and that change follow."""
    if len(graph.inputs) != 1:
        return 0
    value = image = graph.inputs[0]
    pads = False
    while True:
        uses = list(value.uses())
        if len(uses) != 1 or value.is_graph_output():
            return 0
        reader = uses[0].node
        if reader.op_type == "Transpose":
            break
        if reader.op_type not in _BY_ELEMENT and reader.op_type != "Pad":
            return 0
        pads |= reader.op_type == "Pad"
        value = reader.outputs[0]
    if ints(reader, "perm", ()) != _FIRST or not pads or image.dtype is not ir.DataType.FLOAT:
        return 0
    readers = [(use.node, use.idx) for use in image.uses()]
    first = _transpose(image, _FIRST, f"{image.name}.channels_first")
    last = _transpose(first.outputs[0], _LAST, f"{image.name}.channels_last")
    graph.insert_before(readers[0][0], [first, last])
    for node, index in readers:
        node.replace_input_with(index, last.outputs[0])
    return 1


def _transpose(x: ir.Value, perm: tuple[int, ...], name: str) -> ir.Node:
    node = ir.node("Transpose", [x], {"perm": perm}, name=name)
    result = node.outputs[0]
    result.name, result.type = name, x.type
    if x.shape is not None:
        result.shape = ir.Shape([x.shape[axis] for axis in perm])
    return node


def _meet(graph: ir.Graph, node: ir.Node) -> int:
    """Drop a Transpose of a Transpose where the two cancel; else make them one."""
    before = node.inputs[0].producer() if node.inputs[0] is not None else None
    output = node.outputs[0]
    if before is None or before.op_type != "Transpose" or output.is_graph_output():
        return 0
    inner, outer = ints(before, "perm", ()), ints(node, "perm", ())
    if len(inner) != len(outer) or not inner:
        return 0
    source = before.inputs[0]
    assert source is not None, "a Transpose has an input"
    perm = [inner[axis] for axis in outer]
    if perm == sorted(perm):
        output.replace_all_uses_with(source)
        graph.remove(node, safe=True)
    else:
        node.replace_input_with(0, source)
        node.attributes["perm"] = ir.AttrInt64s("perm", perm)
    return 1


def _push(graph: ir.Graph, node: ir.Node) -> int:
    """Let ``node`` work on channels first, and change the layout of its result."""
    if len(node.outputs) != 1 or any(
        value is None and i == 0 for i, value in enumerate(node.inputs)
    ):
        return 0
    if node.op_type in ("ReduceMean", "ReduceSum", "ReduceMax"):
        return _reduce(graph, node)
    if node.op_type in ("Squeeze", "Flatten", "Reshape"):
        return _flatten(graph, node)
    if node.op_type in _BY_ELEMENT:
        new_inputs = [_element(graph, value) for value in node.inputs]
        if any(
            new is None and old is not None
            for new, old in zip(new_inputs, node.inputs, strict=True)
        ):
            return 0
    else:
        turn = _TURNS.get(node.op_type)
        if turn is None or not turn(graph, node):
            return 0
        new_inputs = [_turned(value) or value for value in node.inputs]
    for index, value in enumerate(new_inputs):
        if value is not node.inputs[index]:
            node.replace_input_with(index, value)
    _turn_back(graph, node)
    return 1


def _turn_back(graph: ir.Graph, node: ir.Node) -> None:
    """Let a change to channels last follow ``node``, whose result has channels first now."""
    result = node.outputs[0]
    back = ir.node("Transpose", [result], {"perm": _LAST}, name=f"{node.name}.channels_last")
    turned, name = back.outputs[0], result.name
    turned.type, turned.shape = result.type, result.shape
    users = [(use.node, use.idx) for use in result.uses() if use.node is not back]
    for user, index in users:
        user.replace_input_with(index, turned)
    if result.is_graph_output():
        for index, output in enumerate(graph.outputs):
            if output is result:
                graph.outputs[index] = turned
        turned.name, result.name = name, f"{name}.channels_first"
    else:
        turned.name = f"{name}.channels_last"
    if turned.shape is not None and len(turned.shape) == _RANK:
        result.shape = ir.Shape([turned.shape[axis] for axis in _FIRST])
    graph.insert_after(node, back)


def _element(graph: ir.Graph, value: ir.Value | None) -> ir.Value | None:
    """Return what stands for ``value`` among channels first; None where nothing can."""
    found = _turned(value)
    if found is not None or value is None:
        return found
    array = constant(value)
    if array is None or array.ndim > _RANK:
        return None
    if array.size == 1 and array.ndim <= 1:
        return value
    full = array.reshape((1,) * (_RANK - array.ndim) + array.shape).transpose(_FIRST)
    return new_initializer(graph, f"{value.name}.channels_first", full)


def _reduce(graph: ir.Graph, node: ir.Node) -> int:
    source = _turned(node.inputs[0])
    given = optional_input(node, 1)
    array = constant(given)
    axes = (
        ints(node, "axes", ()) if given is None else () if array is None else tuple(array.ravel())
    )
    if source is None or not axes:
        return 0
    moved = sorted(_LAST[int(axis) % _RANK] for axis in axes)
    keeps = node.attributes.get_int("keepdims", 1)
    if not keeps and moved != [2, 3]:
        return 0
    node.replace_input_with(0, source)
    _set_ints(graph, node, "axes", moved, 1 if given is not None else None)
    if keeps:
        _turn_back(graph, node)
    return 1


def _flatten(graph: ir.Graph, node: ir.Node) -> int:
    """Let what makes a row of each image read channels first where the image is one pixel."""
    source = _turned(node.inputs[0])
    result = node.outputs[0]
    if source is None or source.shape is None or tuple(source.shape.dims[2:]) != (1, 1):
        return 0
    if node.op_type == "Squeeze":
        axes = constant(optional_input(node, 1))
        if axes is None or sorted(int(axis) % _RANK for axis in axes.ravel()) != [1, 2]:
            return 0
        _set_ints(graph, node, "axes", [2, 3], 1)
    elif node.op_type == "Flatten":
        if node.attributes.get_int("axis", 1) != 1:
            return 0
    elif result.shape is None or len(result.shape) != 2:
        return 0
    node.replace_input_with(0, source)
    return 1


def _spread(graph: ir.Graph, node: ir.Node) -> int:
    """Make pixels ``(N, 1, 1, C)`` of rows ``(N, C)``, as gates have them, with channels first."""
    x = node.inputs[0] if node.inputs else None
    if node.op_type not in ("Reshape", "Unsqueeze") or x is None or x.shape is None:
        return 0
    wanted = constant(optional_input(node, 1))
    if len(x.shape) != 2 or wanted is None:
        return 0
    sizes = [int(size) for size in wanted.ravel()]
    if node.op_type == "Unsqueeze":
        if sorted(sizes) != [1, 2]:
            return 0
        _set_ints(graph, node, "axes", [2, 3], 1)
    else:
        keeps_zeros = node.attributes.get_int("allowzero", 0) != 0
        if len(sizes) != _RANK or sizes[1:3] != [1, 1] or keeps_zeros:
            return 0
        if sizes[3] == 0 or (sizes[3] == -1 and not isinstance(x.shape[1], int)):
            return 0
        channels = x.shape[1] if sizes[3] == -1 else sizes[3]
        assert isinstance(channels, int), "it was checked"
        batch = 0 if sizes[3] == -1 else sizes[0]
        _set_ints(graph, node, "shape", [batch, channels, 1, 1], 1)
    if node.outputs[0].shape is None or len(node.outputs[0].shape) != _RANK:
        node.outputs[0].shape = ir.Shape([x.shape[0], 1, 1, x.shape[1]])
    _turn_back(graph, node)
    return 1


def _set_ints(
    graph: ir.Graph, node: ir.Node, name: str, values: list[int], index: int | None
) -> None:
    """Give ``node`` integers as its input ``index``, or as its attribute ``name``."""
    if index is None:
        node.attributes[name] = ir.AttrInt64s(name, values)
        return
    old = node.inputs[index]
    new = new_initializer(graph, f"{node.name}.{name}", np.array(values, np.int64))
    node.replace_input_with(index, new)
    drop_unused(graph, old)


def _concat(graph: ir.Graph, node: ir.Node) -> bool:
    if any(_turned(value) is None for value in node.inputs):
        return False
    return _axis(graph, node)


def _axis(graph: ir.Graph, node: ir.Node) -> bool:
    axis = node.attributes.get_int("axis", -1)
    node.attributes["axis"] = ir.AttrInt64("axis", _LAST[axis % _RANK])
    return True


def _pad(graph: ir.Graph, node: ir.Node) -> bool:
    widths, axes = constant(optional_input(node, 1)), constant(optional_input(node, 3))
    if widths is None or (axes is None and optional_input(node, 3) is not None):
        return False
    if axes is not None:
        _set_ints(graph, node, "axes", [_LAST[int(axis) % _RANK] for axis in axes], 3)
    elif widths.size == 2 * _RANK:
        turned: Array = widths.reshape(2, _RANK)[:, list(_FIRST)]
        _set_ints(graph, node, "pads", [int(n) for n in turned.ravel()], 1)
    else:
        return False
    return True


def _slice(graph: ir.Graph, node: ir.Node) -> bool:
    axes = constant(optional_input(node, 3))
    if axes is None:
        return False
    _set_ints(graph, node, "axes", [_LAST[int(axis) % _RANK] for axis in axes], 3)
    return True


def _resize(graph: ir.Graph, node: ir.Node) -> bool:
    """Only by constant sizes or scales of all four axes."""
    if "axes" in node.attributes or optional_input(node, 1) is not None:
        return False
    for index, name in ((2, "scales"), (3, "sizes")):
        value = optional_input(node, index)
        if value is None:
            continue
        array = constant(value)
        if array is None or array.size not in (0, _RANK):
            return False
        if array.size:
            turned = new_initializer(graph, f"{node.name}.{name}", array[list(_FIRST)])
            node.replace_input_with(index, turned)
    return True


_TURNS: dict[str, Callable[[ir.Graph, ir.Node], bool]] = {
    "Concat": _concat,
    "Softmax": _axis,
    "Pad": _pad,
    "Slice": _slice,
    "Resize": _resize,
}
"""What turns the attributes and constants of an operator; false where it can't be."""
