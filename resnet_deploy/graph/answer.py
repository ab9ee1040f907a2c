"""Which of several outputs is the answer of a classifier.

Other exporters leave more in a file than the values by class: the most likely class beside them,
the features in front of them, logits beside their softmax, the auxiliary heads of GoogLeNet and
Inception (arXiv:1409.4842, section 5), which only training needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import onnx

from resnet_deploy.graph.meaning import meaning_of
from resnet_deploy.spec import OutputKind

_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, 0)
"""Types of values by class; 0 where none is declared."""

_LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "FusedConv", "FusedGemm", "LinearClassifier")
_LAYERS_INT8 = ("QLinearConv", "ConvInteger", "QLinearMatMul", "MatMulInteger", "QGemm")
_CHOOSING = ("NonMaxSuppression",)
"""Operators of detectors, whose outputs belong together."""

_OF_CLASSES = (OutputKind.SOFTMAX, OutputKind.SIGMOID, OutputKind.LOGITS)

_PASSED = ("Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze")
"""Operators that keep values as they are."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The output ``name``; ``assumed``: others may be meant as well, namely ``rivals``."""

    name: str
    rivals: tuple[str, ...] = ()

    @property
    def assumed(self) -> bool:
        """Whether nothing tells that no other output is meant."""
        return bool(self.rivals)


def answer_of(graph: onnx.GraphProto, names: int = 0) -> Answer | None:
    """Return which output of ``graph`` counts classes; ``names`` of them are known.

    None where there is one output only, or where several belong together: maps, the two of a TopK,
    boxes and scores.
    """
    if len(graph.output) < 2:
        return None
    return _Heads(graph).answer(names)


class _Heads:
    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._made_by = {name: node for node in graph.node for name in node.output if name}

    def answer(self, names: int) -> Answer | None:
        outputs = list(self._graph.output)
        makers = [self._made_by.get(value.name) for value in outputs]
        kinds = {node.op_type for node in makers if node is not None}
        if kinds == {"TopK"} or any(node.op_type in _CHOOSING for node in self._graph.node):
            return None
        flat = [value for value in outputs if self._is_flat(value)]
        left = [value.name for value in flat if not self._is_best(value.name)]
        maps = [value.name for value in outputs if _is_map(value)]
        if not left or any(not self._is_below(name, left) for name in maps):
            return None
        # Features are what another answer is made of; so are logits beside their softmax.
        for name in tuple(left):
            if self._is_below(name, [other for other in left if other != name]):
                left.remove(name)
        for is_none in (self._is_embedding, _is_auxiliary):
            left = [name for name in left if not is_none(name)] or left
        # Boxes and points have no softmax; a class beside them has.
        left = [name for name in left if self._kind(name) in _OF_CLASSES] or left
        sizes = {value.name: _values(value) for value in outputs}
        if names:
            left = [name for name in left if sizes[name] == names] or left
        # Of several heads the last one is meant: those of GoogLeNet lie one behind the other.
        best = max(left, key=lambda name: (self._depth[name], -left.index(name)))
        return Answer(name=best, rivals=tuple(name for name in left if name != best))

    def _is_flat(self, value: onnx.ValueInfoProto) -> bool:
        """Whether ``value`` is a row of numbers a picture."""
        if not _is_float(value):
            return False
        dims = value.type.tensor_type.shape.dim
        declared = value.type.tensor_type.HasField("shape")
        large = [d for d in dims[1:] if not (d.HasField("dim_value") and d.dim_value == 1)]
        return not declared or (len(dims) > 1 and len(large) <= 1)

    def _is_best(self, name: str) -> bool:
        """Whether ``name`` is only of the best classes."""
        node = self._made_by.get(name)
        return node is not None and node.op_type in ("TopK", "ReduceMax", "ArgMax")

    def _is_embedding(self, name: str) -> bool:
        return self._kind(name) is OutputKind.EMBEDDING

    def _kind(self, name: str) -> OutputKind | None:
        value = next(value for value in self._graph.output if value.name == name)
        return meaning_of(self._graph, value).kind

    def _is_below(self, name: str, others: list[str]) -> bool:
        """Whether one of ``others`` is computed from the values of ``name``."""
        same = {name}
        for _ in range(len(self._made_by) + 1):  # a damaged file may hold a ring
            node = self._made_by.get(name)
            if node is None or node.op_type not in _PASSED or not node.input:
                break
            name = node.input[0]
            same.add(name)
        return any(same & self._sources(other) for other in others)

    def _sources(self, name: str) -> set[str]:
        """Return every tensor that ``name`` is computed from."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            node = self._made_by.get(waiting.pop())
            new = set() if node is None else set(node.input) - found - {""}
            found |= new
            waiting += new
        return found

    @cached_property
    def _depth(self) -> dict[str, int]:
        """How many layers lie on the longest way to each tensor."""
        depth: dict[str, int] = {}
        for node in self._graph.node:
            own = node.op_type in (*_LAYERS, *_LAYERS_INT8)
            deepest = max((depth.get(name, 0) for name in node.input), default=0) + own
            depth |= dict.fromkeys(node.output, deepest)
        return {value.name: depth.get(value.name, 0) for value in self._graph.output}


def _is_map(value: onnx.ValueInfoProto) -> bool:
    """Whether ``value`` has numbers for every pixel or part of a picture."""
    dims = value.type.tensor_type.shape.dim[1:]
    return _is_float(value) and sum(d.dim_value != 1 for d in dims) > 1


def _is_auxiliary(name: str) -> bool:
    return "aux" in name.lower()


def _is_float(value: onnx.ValueInfoProto) -> bool:
    return value.type.tensor_type.elem_type in _FLOATS


def _values(value: onnx.ValueInfoProto) -> int | None:
    """Return how many numbers there are a picture; None where that is not declared."""
    dims = value.type.tensor_type.shape.dim[1:]
    sizes = [d.dim_value if d.HasField("dim_value") else None for d in dims]
    known = [size for size in sizes if size]
    return math.prod(known) if known and len(known) == len(sizes) else None
