"""Nodes in any order  =>  each behind those that it reads from.

ONNX wants them sorted (docs/IR.md), and its checker refuses others. ONNX Runtime does not mind, so
files are about that a tool has left unsorted: converters to half precision append their Casts.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

import onnx

from resnet_deploy.errors import ArtifactError


def sort_nodes(model: onnx.ModelProto) -> int:
    """Sort the nodes of the graph; return how many moved. A sorted graph stays as it is.

    Raises:
        ArtifactError: nodes wait for each other.
    """
    nodes = list(model.graph.node)
    maker = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    waits = [{maker[name] for name in read_by(node) if name in maker} for node in nodes]
    if all(max(before, default=-1) < index for index, before in enumerate(waits)):
        return 0
    order = _order(waits)
    if len(order) < len(nodes):
        stuck = nodes[min(set(range(len(nodes))) - set(order))]
        raise ArtifactError(
            f"the graph has a cycle: {stuck.op_type} node {stuck.name or stuck.output[0]!r} waits "
            "for its own result"
        )
    set_nodes(model.graph, [nodes[index] for index in order])
    return sum(index != place for place, index in enumerate(order))


def set_nodes(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Let ``graph`` have ``nodes``, some of which may be its own."""
    # Copies, because clearing the field ends the life of what is in it.
    copies = []
    for node in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copies.append(copy)
    del graph.node[:]
    graph.node.extend(copies)


def read_by(node: onnx.NodeProto) -> Iterator[str]:
    """Yield what ``node`` reads, subgraphs included: they see the tensors around them."""
    for inner in every_node([node]):
        yield from (name for name in inner.input if name)


def every_node(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Yield each of ``nodes``, followed by those of its subgraphs."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for subgraph in (attribute.g, *attribute.graphs):
                yield from every_node(subgraph.node)


def _order(waits: list[set[int]]) -> list[int]:
    """Return the indices, each behind those it waits for and else as they were (Kahn)."""
    missing = [len(before) for before in waits]
    readers: list[list[int]] = [[] for _ in waits]
    for index, before in enumerate(waits):
        for other in before:
            readers[other].append(index)
    ready = [index for index, count in enumerate(missing) if not count]
    order = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for reader in readers[index]:
            missing[reader] -= 1
            if not missing[reader]:
                heapq.heappush(ready, reader)
    return order
