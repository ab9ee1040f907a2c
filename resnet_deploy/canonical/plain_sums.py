"""Operators that do nothing  =>  gone; sums of several tensors  =>  Adds.

A Dropout does nothing in inference, an Identity never. Caffe2's exporter writes ``Sum`` for the
addition of a residual block; what adds two tensors in int8 is Add.
"""

from __future__ import annotations

import onnx
from onnx import helper, numpy_helper

from resnet_deploy.canonical.order import read_by, set_nodes
from resnet_deploy.graph.releases import opset_of
from resnet_deploy.graph.unique_name import unique_name

_TESTS = 7
"""From here on a Dropout is for inference unless told otherwise."""


def drop_no_ops(model: onnx.ModelProto) -> int:
    """Let what reads a Dropout or an Identity read its input; return how many went.

    A Dropout stays whose mask is read or that is in training mode; so does what stands between the
    graph's input and its output.
    """
    graph = model.graph
    ends = {value.name for value in graph.output}
    fixed = {value.name for value in graph.input}.union(ends, (t.name for t in graph.initializer))
    read = ends.union(name for node in graph.node for name in read_by(node))
    makers = {name: node for node in graph.node for name in node.output}
    inner = {name for node in graph.node for name in _inner_reads(node)}
    instead: dict[str, str] = {}
    rest = []
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = instead.get(name, name)
        if not _does_nothing(node, model, read) or inner & {node.input[0], node.output[0]}:
            rest.append(node)
            continue
        source, result = node.input[0], node.output[0]
        if result not in ends:
            instead[result] = source
        elif source not in fixed and source in makers:
            # The graph's output keeps its name: what makes its value is called like that.
            _rename(rest, source, result)
            instead[source] = result
        else:
            rest.append(node)
    if len(rest) == len(graph.node):
        return 0
    count = len(graph.node) - len(rest)
    set_nodes(graph, rest)
    return count


def sums_to_adds(model: onnx.ModelProto) -> int:
    """Replace every Sum of two or more tensors by Adds from left to right; return how many."""
    graph = model.graph
    if not any(_is_sum(node) for node in graph.node):
        return 0
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    nodes: list[onnx.NodeProto] = []
    count = 0
    for node in graph.node:
        if not _is_sum(node):
            nodes.append(node)
            continue
        count += 1
        value = node.input[0]
        for place, other in enumerate(node.input[1:], start=2):
            last = place == len(node.input)
            name = node.output[0] if last else unique_name(f"{node.output[0]}.{place}", taken)
            taken.add(name)
            stem = node.name if last or not node.name else f"{node.name}.{place}"
            add = helper.make_node("Add", [value, other], [name], name=stem)
            add.metadata_props.extend(node.metadata_props)
            nodes.append(add)
            value = name
    set_nodes(graph, nodes)
    return count


def _is_sum(node: onnx.NodeProto) -> bool:
    return node.op_type == "Sum" and node.domain in ("", "ai.onnx") and len(node.input) > 1


def _does_nothing(node: onnx.NodeProto, model: onnx.ModelProto, read: set[str]) -> bool:
    if node.domain not in ("", "ai.onnx") or not node.input:
        return False
    if node.op_type == "Identity":
        return True
    if node.op_type != "Dropout" or any(name in read for name in node.output[1:] if name):
        return False
    if opset_of(model) < _TESTS:
        return any(given.name == "is_test" and given.i for given in node.attribute)
    return len(node.input) < 3 or not node.input[2] or _is_false(node.input[2], model.graph)


def _is_false(name: str, graph: onnx.GraphProto) -> bool:
    """Whether the constant ``name`` is stored as false."""
    for tensor in graph.initializer:
        if tensor.name == name:
            return not numpy_helper.to_array(tensor).any()
    for node in graph.node:
        if node.op_type == "Constant" and name in node.output:
            return not any(numpy_helper.to_array(given.t).any() for given in node.attribute)
    return False


def _rename(nodes: list[onnx.NodeProto], old: str, new: str) -> None:
    for node in nodes:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new


def _inner_reads(node: onnx.NodeProto) -> set[str]:
    """Return what the subgraphs of ``node`` read: it keeps its name."""
    return set(read_by(node)) - set(node.input)
