"""A graph of fewer outputs: what only the others needed is taken out."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from resnet_deploy.canonical.order import every_node, read_by, set_nodes


def keep_output(model: onnx.ModelProto, name: str) -> None:
    """Leave ``model`` the output ``name`` alone, in place."""
    kept = [value for value in model.graph.output if value.name == name]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    drop_unused(model)


def drop_unused(model: onnx.ModelProto) -> None:
    """Take out of ``model`` what no output needs: nodes, weights, inputs, domains."""
    graph = model.graph
    needed = {value.name for value in graph.output}
    makers = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    waiting, kept = list(needed), set()
    while waiting:
        index = makers.get(waiting.pop())
        if index is None or index in kept:
            continue
        kept.add(index)
        new = set(read_by(graph.node[index])) - needed
        needed |= new
        waiting += new
    nodes = [node for index, node in enumerate(graph.node) if index in kept]
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    inputs = [value for value in graph.input if value.name in needed]
    if len(nodes) < len(graph.node):
        set_nodes(graph, nodes)
    if len(weights) < len(graph.initializer):
        del graph.initializer[:]
        graph.initializer.extend(weights)
    if 0 < len(inputs) < len(graph.input):
        del graph.input[:]
        graph.input.extend(inputs)
    if not model.functions:
        used = {"", "ai.onnx"} | set(domains_of(graph))
        imports = [entry for entry in model.opset_import if entry.domain in used]
        del model.opset_import[:]
        model.opset_import.extend(imports)


def domains_of(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield the domain of every operator of ``graph``, those inside subgraphs too."""
    yield from (node.domain for node in every_node(graph.node))
