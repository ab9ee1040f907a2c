"""What the values that a graph answers mean, read from what computes them.

Softmax, Sigmoid, TopK or a division by a norm may lie behind operators that only reshape or cast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from resnet_deploy.spec import OutputKind

_RESHAPED = ("Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")

_PASSED = frozenset((*_RESHAPED, "Cast", "DequantizeLinear", "Dropout", "QuantizeLinear"))
"""Operators that leave the meaning of values as it is; a Transpose of a vector has sizes of 1."""

_BOUNDS = frozenset(("Add", "Clip", "Expand", "Max", "Pow", "Reciprocal", "Sqrt"))
"""What stands between the sum of squares and the division by their root."""

_MAPS = frozenset(
    ("Add", "BatchNormalization", "Clip", "Concat", "Conv", "LeakyRelu", "MaxPool", "Relu")
)
"""Operators that end in maps, where the size of their pixels is not declared."""

_CURVES = ("Clip", "Exp", "LogSoftmax", "Relu", "Sigmoid", "Softmax")

_EACH_FOR_ITSELF = frozenset(
    ("Add", "BatchNormalization", "GlobalAveragePool", "LpNormalization", "Mul", "ReduceMean")
).union(_CURVES)
"""Operators behind a layer that keep the number of its values."""

_LIMITS = ("Clip", "Max", "Min")
"""Operators that keep probabilities from being 0 or 1."""

_ACTIVATIONS = ("Gelu", "HardSwish", "LeakyRelu", "PRelu", "Relu", "Tanh")
"""Values by class have none: they would not be negative, or not large."""

_POOLS = frozenset(("GlobalAveragePool", "ReduceMean"))


_EMBEDDING_WIDTHS = (128, 256, 512)
"""Of embeddings; hardly anybody has so many classes, and then they have names."""

_NORMALISED_WIDTHS = (64, *_EMBEDDING_WIDTHS, 1024, 2048)
"""The same behind a BatchNorm, in which hardly any classifier ends."""


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What a graph answers.

    ``kind`` is None where nothing tells. ``probabilities``: values are from 0 to 1 already, not
    logits, by class, label or pixel. ``values`` is how many the first output has for one image,
    None where the file does not say. ``normalised``: they come out of a BatchNorm.
    """

    kind: OutputKind | None = None
    probabilities: bool = False
    values: int | None = None
    normalised: bool = False

    @property
    def usual(self) -> OutputKind:
        """What is assumed where nothing tells: an embedding of a width that is usual, or logits.

        Nets for faces and for finding again end in a linear layer and a BatchNorm, which may be
        folded into it (ArcFace, arXiv:1801.07698, section 3.1: 512 values).
        """
        widths = _NORMALISED_WIDTHS if self.normalised else _EMBEDDING_WIDTHS
        return OutputKind.EMBEDDING if self.values in widths else OutputKind.LOGITS


def meaning_of(graph: onnx.GraphProto, output: onnx.ValueInfoProto | None = None) -> Meaning:
    """Return what ``graph`` answers, as far as its nodes and the names of its outputs tell.

    With ``output``: what this one of them says.
    """
    return _Walk(graph, graph.output if output is None else [output]).meaning()


class _Walk:
    def __init__(self, graph: onnx.GraphProto, outputs: Sequence[onnx.ValueInfoProto]) -> None:
        self._outputs = outputs
        self._made_by = {name: node for node in graph.node for name in node.output}
        self._weights = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}

    def meaning(self) -> Meaning:
        ends = [self._node(value.name) for value in self._outputs]
        kinds = [None if end is None else end.op_type for end in ends]
        if len(ends) > 1:
            both = kinds == ["TopK", "TopK"]
            kind = OutputKind.TOP_K if both else OutputKind.FEATURES
            return Meaning(kind=kind, probabilities=both)
        shape = _shape(self._outputs[0])
        if _is_map(shape, kinds[0]):
            shares = self._of_values(ends[0], None).probabilities
            return Meaning(kind=OutputKind.FEATURES, probabilities=shares)
        values = _product(shape)
        return self._of_values(
            ends[0], values if ends[0] is None else values or self._width(ends[0])
        )

    def _of_values(self, end: onnx.NodeProto | None, values: int | None) -> Meaning:
        """Return what the ``values`` mean that ``end`` computes."""
        kind, probabilities = _named(self._outputs[0].name), False
        if end is not None and end.op_type in _LIMITS:
            behind = self._node(end.input[0])
            if behind is not None and (self._is_softmax(behind) or self._is_sigmoid(behind)):
                end = behind
        if end is not None and self._is_softmax(end):
            kind, probabilities = OutputKind.SOFTMAX, True
        elif end is not None and self._is_sigmoid(end):
            kind, probabilities = OutputKind.SIGMOID, True
        elif end is not None and self._is_embedding(end):
            kind = OutputKind.EMBEDDING
        elif end is not None and end.op_type == "LogSoftmax":  # its softmax undoes the logarithm
            kind = OutputKind.LOGITS
        if end is not None and end.op_type == "ArgMax":
            kind = None
        elif values == 1 and kind is not OutputKind.SOFTMAX:
            kind = OutputKind.BINARY
        normalised = end is not None and end.op_type == "BatchNormalization"
        return Meaning(kind=kind, probabilities=probabilities, values=values, normalised=normalised)

    def _source(self, name: str) -> str:
        """Return the tensor whose values ``name`` has, in another shape or type."""
        for _ in range(len(self._made_by) + 1):  # a damaged file may hold a ring
            node = self._made_by.get(name)
            if node is None or node.op_type not in _PASSED or not node.input:
                break
            name = node.input[0]
        return name

    def _node(self, name: str) -> onnx.NodeProto | None:
        return self._made_by.get(self._source(name))

    def _width(self, end: onnx.NodeProto) -> int | None:
        """Return how many values the last layer with weights gives, if none are lost behind it."""
        for _ in range(len(self._made_by) + 1):
            weight = end.input[1] if len(end.input) > 1 else ""
            dims = self._weights.get(weight) or self._weights.get(self._source(weight))
            if dims and end.op_type in ("Gemm", "MatMul", "Conv"):
                flipped = any(given.name == "transB" and given.i for given in end.attribute)
                return dims[0] if flipped or end.op_type == "Conv" else dims[-1]
            made = {self._source(name) for name in end.input} & set(self._made_by)
            if end.op_type not in _EACH_FOR_ITSELF or len(made) != 1:
                return None
            end = self._made_by[made.pop()]
        return None

    def _is_softmax(self, end: onnx.NodeProto) -> bool:
        """Whether ``end`` is Softmax, also written as Exp and a division by their sum."""
        if end.op_type in ("Softmax", "QLinearSoftmax"):
            return True
        if end.op_type == "Normalizer":  # of ai.onnx.ml, by sums, as scikit-learn has it
            behind = self._node(end.input[0])
            by_sum = any(a.name == "norm" and a.s == b"L1" for a in end.attribute)
            return (
                by_sum
                and behind is not None
                and (behind.op_type == "Softmax" or self._is_sigmoid(behind))
            )
        inputs = [self._source(name) for name in end.input]
        first = self._made_by.get(inputs[0]) if inputs else None
        if end.op_type == "Exp":
            return first is not None and first.op_type == "LogSoftmax"
        total = self._made_by.get(inputs[1]) if len(inputs) > 1 else None
        return (
            end.op_type == "Div"
            and first is not None
            and first.op_type == "Exp"
            and total is not None
            and total.op_type == "ReduceSum"
            and self._source(total.input[0]) == inputs[0]
        )

    def _is_sigmoid(self, end: onnx.NodeProto) -> bool:
        """Whether ``end`` is a sigmoid, also written as ``1 / (1 + exp(-x))``."""
        if end.op_type in ("Sigmoid", "HardSigmoid", "QLinearSigmoid"):
            return True
        if end.op_type not in ("Div", "Reciprocal"):
            return False
        below = self._node(end.input[-1])
        if below is None or below.op_type != "Add":
            return False
        return any(node.op_type == "Exp" for node in self._inputs(below))

    def _is_embedding(self, end: onnx.NodeProto) -> bool:
        """Whether ``end`` is none that a classifier ends in."""
        activated = end.op_type in _ACTIVATIONS
        return activated or self._is_normalised(end) or self._is_pooled_sum(end)

    def _is_normalised(self, end: onnx.NodeProto) -> bool:
        """Whether ``end`` divides values by their own norm."""
        if end.op_type == "LpNormalization":
            return True
        if end.op_type not in ("Div", "Mul") or len(end.input) != 2:
            return False
        pairs = [tuple(end.input), tuple(reversed(end.input))]
        pairs = pairs[:1] if end.op_type == "Div" else pairs
        return any(self._is_norm(norm, of=self._source(values)) for values, norm in pairs)

    def _is_norm(self, name: str, *, of: str) -> bool:
        """Whether ``name`` is computed of a sum of squares, or of sizes, of the values ``of``."""
        for _ in range(len(_BOUNDS)):
            node = self._node(name)
            if node is None or not node.input:
                return False
            if node.op_type in ("ReduceL1", "ReduceL2", "ReduceSumSquare"):
                return self._source(node.input[0]) == of
            if node.op_type == "ReduceSum":
                square = self._node(node.input[0])
                return (
                    square is not None
                    and square.op_type in ("Mul", "Pow")
                    and self._source(square.input[0]) == of
                )
            if node.op_type == "Div":  # one over the root
                name = node.input[1]
            elif node.op_type in _BOUNDS:
                made = [value for value in node.input if self._source(value) in self._made_by]
                name = made[0] if made else node.input[0]
            else:
                return False
        return False

    def _is_pooled_sum(self, end: onnx.NodeProto) -> bool:
        """Whether ``end`` averages the pixels of a sum or of several maps: none are of classes."""
        if end.op_type not in _POOLS:
            return False
        behind = self._node(end.input[0])
        if behind is not None and behind.op_type in ("Relu", "Clip"):
            behind = self._node(behind.input[0])
        return (
            behind is not None
            and behind.op_type in ("Add", "Concat")
            and all(self._source(value) in self._made_by for value in behind.input)
        )

    def _inputs(self, node: onnx.NodeProto) -> Sequence[onnx.NodeProto]:
        found = (self._node(name) for name in node.input)
        return [value for value in found if value is not None]


def _shape(value: onnx.ValueInfoProto) -> list[int | None] | None:
    """Return the declared shape of one image's answer, without the batch."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    dims = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
    return dims[1:]


def _product(shape: list[int | None] | None) -> int | None:
    known = [size for size in shape or () if size is not None]
    return None if shape is None or len(known) < len(shape) else math.prod(known)


def _is_map(shape: list[int | None] | None, end: str | None) -> bool:
    """Whether there are values for every pixel or part of an image."""
    if shape is None or len(shape) < 2:
        return False
    least = 2 if end in _MAPS else 1
    return sum((least if size is None else size) > 1 for size in shape) > 1


def _named(name: str) -> OutputKind | None:
    """Return what the name of an output says it is."""
    words = name.lower()
    if "embed" in words or "feature" in words:
        return OutputKind.EMBEDDING
    return OutputKind.LOGITS if "logit" in words else None
