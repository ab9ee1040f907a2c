"""What only depends on constants  =>  initializers.

Exporters and optimisers leave weights behind operators: in Constant nodes, filled by
ConstantOfShape, behind Reshape, Transpose or Cast, or in int8 behind a DequantizeLinear. ONNX
Runtime computes all of that once, when it opens the file; so is it done here. Where activations are
quantized as well, the file is int8, and its QuantizeLinear and DequantizeLinear are the point of
it: they stay.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import onnx
from onnx import numpy_helper

from resnet_deploy.arrays import Array
from resnet_deploy.canonical.order import read_by, set_nodes
from resnet_deploy.errors import ArtifactError
from resnet_deploy.graph.evaluation import ON_WEIGHTS, computed, size_of_result

_MOST_VALUES = 1 << 28
"""Of all that is computed together, 1 GiB in float32; VGG-19 has half as many weights."""

_CHANGES = 4
"""Operators that may stand between a stored weight and its layer, on average: they come on top."""

_QDQ = frozenset({"QuantizeLinear", "DequantizeLinear"})

_ON_CODES = ("QuantizeLinear", "DynamicQuantizeLinear", "QLinear")
"""Operators that begin like that make or take the codes of activations, as do ``…Integer``."""


def fold_constants(model: onnx.ModelProto) -> int:
    """Compute what depends on constants alone; return how many nodes went.

    Raises:
        ArtifactError: it would fill the memory.
    """
    foldable = ON_WEIGHTS | {"Constant"}
    if _is_int8(model.graph, foldable):
        foldable -= _QDQ
    if not any(_may_fold(node, foldable) for node in model.graph.node):
        return 0
    return _Folding(model, foldable).run()


class _Folding:
    """One walk over the graph; what is computed is kept as long as a node is to come that reads it.

    Each constant becomes an initializer with the first node that stays and reads it.
    """

    def __init__(self, model: onnx.ModelProto, foldable: frozenset[str]) -> None:
        self._model = model
        self._foldable = foldable
        self._ends = {value.name for value in model.graph.output}
        self._stored = {tensor.name: tensor for tensor in model.graph.initializer}
        self._values: dict[str, Array] = {}
        self._written: set[str] = set()
        self._left = Counter(name for node in model.graph.node for name in read_by(node))
        stored = sum(math.prod(tensor.dims) for tensor in self._stored.values())
        self._room = _MOST_VALUES + _CHANGES * stored

    def run(self) -> int:
        graph = self._model.graph
        rest, read, folded = [], set(self._ends), set()
        for node in graph.node:
            inputs = list(read_by(node))
            if self._fold(node):
                folded.update(inputs)
            else:
                rest.append(node)
                read.update(inputs)
                for name in inputs:
                    self._write(name)
            for name in inputs:
                self._left[name] -= 1
                if not self._left[name]:
                    self._values.pop(name, None)
        count = len(graph.node) - len(rest)
        if count:
            set_nodes(graph, rest)
            _drop_initializers(graph, folded - read)
        return count

    def _fold(self, node: onnx.NodeProto) -> bool:
        if not _may_fold(node, self._foldable) or not self._ends.isdisjoint(node.output):
            return False
        operands = {name: self._array(name) for name in node.input if name}
        known = {name: array for name, array in operands.items() if array is not None}
        if len(known) < len(operands):
            return False
        self._room -= size_of_result(node, list(known.values()))
        if self._room < 0:
            raise ArtifactError(
                f"{node.op_type} node {node.name or node.output[0]!r} makes constants of more than "
                "a thousand megabytes, which are not in the file: refused"
            )
        results = computed(node, known, self._model)
        if results is None:
            return False
        self._values.update(zip(node.output, results, strict=False))
        return True

    def _array(self, name: str) -> Array | None:
        if name in self._values:
            return self._values[name]
        tensor = self._stored.get(name)
        if tensor is None or tensor.data_type == onnx.TensorProto.STRING:
            return None
        try:
            return numpy_helper.to_array(tensor)
        except (ValueError, TypeError):
            return None

    def _write(self, name: str) -> None:
        if name in self._values and name not in self._written:
            self._written.add(name)
            array = self._values[name]
            stored = self._model.graph.initializer
            if array.dtype == np.dtype("<f4"):
                # In place: a tensor of its own would hold hundreds of megabytes once more.
                tensor = stored.add(
                    name=name, data_type=onnx.TensorProto.FLOAT, dims=list(array.shape)
                )
                tensor.raw_data = array.tobytes()
            else:
                stored.add().CopyFrom(numpy_helper.from_array(array, name))


def _may_fold(node: onnx.NodeProto, foldable: frozenset[str]) -> bool:
    return node.domain in ("", "ai.onnx") and node.op_type in foldable


def _is_int8(graph: onnx.GraphProto, foldable: frozenset[str]) -> bool:
    """Whether activations are quantized: then codes are what the file is about."""
    if not any(node.op_type in _QDQ for node in graph.node):
        return False
    known = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if _may_fold(node, foldable) and all(name in known for name in node.input if name):
            known.update(node.output)
        elif node.op_type.startswith(_ON_CODES) or node.op_type.endswith("Integer"):
            return True
    return False


def _drop_initializers(graph: onnx.GraphProto, unread: set[str]) -> None:
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name in unread:
            del graph.initializer[index]
