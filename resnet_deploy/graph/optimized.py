"""From an operator that ONNX Runtime runs back to the node of the file that it came from.

ONNX Runtime runs another graph than the file's: operators are fused, renamed and put in. One of
them is traced back by its name, by the name without what optimisers append, or by what it computes.
"""

from __future__ import annotations

import re

import onnx

from resnet_deploy.graph.module_names import module_of

_SUFFIX = re.compile(r"(_token_\d+|_nchwc|_nhwc|_quant)+$")
_COMPUTES = ("Conv", "Gemm", "MatMul")


class OptimizedGraph:
    """The operators of ``optimised``, which ONNX Runtime made of the file's graph ``source``."""

    def __init__(self, source: onnx.GraphProto, optimised: onnx.GraphProto) -> None:
        self._sources = {node.name: node for node in source.node if node.name}
        computed = [node for node in source.node if node.op_type != "Constant"]
        self._unnamed = {
            f"{node.op_type}_{i}": node for i, node in enumerate(computed) if not node.name
        }
        self._source_of = {name: node for node in source.node for name in node.output}
        self._producer = {name: node for node in optimised.node for name in node.output}
        self._nodes = {node.name: node for node in optimised.node}

    def source(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """Return the file's node that became ``node``, or None where ONNX Runtime put it in."""
        stem = _SUFFIX.sub("", node.name)
        found = self._sources.get(node.name) or self._sources.get(stem) or self._source_of.get(stem)
        if found is None:  # it may have no name in the file, but the same output
            found = self._source_of.get(node.output[0])
            return found if found is not None and found.op_type == node.op_type else None
        return self._computing(node, found)

    def module(self, node: onnx.NodeProto) -> str:
        """Return the torch module of ``node``; what was put in belongs to what it reads."""
        following: onnx.NodeProto | None = node
        while following is not None:
            found = self.source(following) or self._by_output(following)
            if found is not None:
                return module_of(found)
            following = next(
                (self._producer[name] for name in following.input if name in self._producer), None
            )
        return node.name or node.output[0]

    def module_by_name(self, name: str) -> str:
        """Return the module of the operator called ``name``, or ``name`` if none is known.

        What the profiler names is not always in the graph that was saved; a node without a name
        goes by its operator and its place in the file there.
        """
        if name in self._nodes:
            return self.module(self._nodes[name])
        found = self._sources.get(_SUFFIX.sub("", name)) or self._unnamed.get(name)
        return name if found is None else module_of(found)

    def _by_output(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        found = next((self._source_of[out] for out in node.output if out in self._source_of), None)
        return None if found is None else self._computing(node, found)

    def _computing(self, node: onnx.NodeProto, found: onnx.NodeProto) -> onnx.NodeProto:
        """A convolution that absorbed its ReLU may go by the ReLU's name: return its own node."""
        if not _computes(node):
            return found
        main: onnx.NodeProto | None = found
        while main is not None and not _computes(main):
            main = next((self._source_of[i] for i in main.input if i in self._source_of), None)
        return main or found


def _computes(node: onnx.NodeProto) -> bool:
    return any(kind in node.op_type for kind in _COMPUTES)
