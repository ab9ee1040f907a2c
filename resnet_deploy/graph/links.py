"""Which node of a graph writes a tensor, and which nodes read it."""

from __future__ import annotations

from collections import defaultdict

import onnx


class Links:
    """The links between the nodes of ``graph``; not those into subgraphs."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.producer = {name: node for node in graph.node for name in node.output if name}
        self.readers: defaultdict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in filter(None, node.input):
                self.readers[name].append(node)

    def before(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Return the nodes whose outputs ``node`` reads."""
        return [self.producer[name] for name in node.input if name in self.producer]

    def behind(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Return the nodes that read an output of ``node``."""
        return [reader for name in node.output for reader in self.readers[name]]
