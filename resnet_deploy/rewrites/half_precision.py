"""A float32 graph  =>  one that computes in float16, with float32 inputs and outputs.

Convolutions and matrix products, and what follows them element by element, take and give float16,
their weights included. Everything else stays float32, with a Cast on each edge between the two:

- sums over many values (GlobalAveragePool, ReduceMean, …) and norms, which lose or overflow;
- Softmax, whose small probabilities float16 has not;
- what is in front of the first convolution: constants of a normalisation would be rounded, and
  with them every pixel alike;
- a node that was seen to give or take values for which float16 is too small, or whose weights are.

A float16 has 11 bits and ends at 65,504.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from resnet_deploy.canonical.order import read_by, set_nodes
from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.graph.module_names import module_of

LARGEST = float(np.finfo(np.float16).max)
"""65,504: the largest float16."""

HEADROOM = 4.0
"""How many times as large as what was seen values may become: other images, and partial sums."""

SMALLEST = 2.0**-10
"""A tensor without larger values is too close to the end of float16: below 2**-14 bits are lost."""

_FLOAT = onnx.TensorProto.FLOAT
_HALF = onnx.TensorProto.FLOAT16

_PRODUCTS = frozenset(("Conv", "Gemm", "MatMul"))
"""Worth a Cast in front."""

_FOLLOW = frozenset(
    (
        *("Relu", "LeakyRelu", "PRelu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh"),
        *("Add", "Mul", "Max", "Min", "MaxPool"),
        *("Identity", "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Concat"),
        *("Slice", "Split", "Pad", "DepthToSpace", "SpaceToDepth"),
    )
)
"""In float16 where their first input is: rounding is all that they can lose."""


@dataclass(frozen=True, kw_only=True)
class HalfGraph:
    """What :func:`half_precision` made.

    ``model`` is the graph, ``layers`` counts its convolutions and matrix products in float16, and
    ``kept`` says by the name of each that stays in float32 why.
    """

    model: onnx.ModelProto
    layers: int
    kept: dict[str, str]


def watched(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the tensors whose largest magnitude :func:`half_precision` wants to know.

    They are what nodes compute that might become float16 themselves, or be read as that.
    """
    kinds = _PRODUCTS | _FOLLOW
    types = _types(model)
    computed = {name for node in model.graph.node for name in node.output}
    nodes = (node for node in model.graph.node if _is(node, kinds))
    names = (name for node in nodes for name in (*node.input, *node.output))
    wanted = (name for name in names if name in computed and types.get(name) == _FLOAT)
    return tuple(dict.fromkeys(wanted))


def half_precision(model: onnx.ModelProto, largest: Mapping[str, float]) -> HalfGraph:
    """Return ``model`` with its layers in float16.

    Args:
        model: float32, in canonical spelling, nodes in order.
        largest: the largest magnitude that was seen of the tensors of :func:`watched`, and of the
            input.

    Raises:
        UnsupportedGraphError: nothing of it can be in float16, or it is not float32.
    """
    changed = copy.deepcopy(model)
    del changed.graph.value_info[:]
    return _Halving(changed, _types(model), largest).run()


def _types(model: onnx.ModelProto) -> dict[str, int]:
    """Return the element type of every tensor of ``model`` that can be told."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    found = {value.name: value.type.tensor_type.elem_type for value in values}
    return {**found, **{tensor.name: tensor.data_type for tensor in graph.initializer}}


def _is(node: onnx.NodeProto, kinds: frozenset[str]) -> bool:
    return node.domain in ("", "ai.onnx") and node.op_type in kinds


class _Halving:
    """One run over the nodes of ``model``, which is changed in place."""

    def __init__(
        self, model: onnx.ModelProto, types: Mapping[str, int], largest: Mapping[str, float]
    ) -> None:
        self._model = model
        self._types = types
        self._largest = largest
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._names = {*types, *(name for node in model.graph.node for name in node.output)}
        # Subgraphs see the tensors around them, and expect them in float32.
        own = {name for node in model.graph.node for name in node.input}
        read = {name for node in model.graph.node for name in read_by(node)}
        self._inner_reads = read - own
        self._nodes: list[onnx.NodeProto] = []
        self._half: set[str] = set()
        self._as_half: dict[str, str] = {}
        self._as_float: dict[str, str] = {}

    def run(self) -> HalfGraph:
        graph = self._model.graph
        if any(_is(node, frozenset(("QuantizeLinear",))) for node in graph.node):
            raise UnsupportedGraphError("it is int8 already: float16 is made from the fp32 file")
        layers, kept = 0, {}
        for node in graph.node:
            wanted = _is(node, _PRODUCTS) or (_is(node, _FOLLOW) and self._follows(node))
            reason = self._reason_against(node) if wanted else ""
            if _is(node, _PRODUCTS) and not reason:
                layers += 1
            if reason:
                kept[module_of(node) or node.name or node.output[0]] = reason
            if wanted and not reason:
                self._to_half(node)
            else:
                self._to_float(node)
        if not layers:
            why = next(iter(kept.values()), "it has no convolution")
            raise UnsupportedGraphError(f"no layer of it can be computed in float16: {why}")
        self._float_outputs()
        set_nodes(graph, self._nodes)
        self._drop_unread()
        return HalfGraph(model=self._model, layers=layers, kept=kept)

    def _follows(self, node: onnx.NodeProto) -> bool:
        return bool(node.input) and node.input[0] in self._half

    def _reason_against(self, node: onnx.NodeProto) -> str:
        """Return why ``node`` can't be float16, empty where it can."""
        tensors = [name for name in (*node.input, *node.output) if name]
        if any(self._types.get(name) not in (_FLOAT, onnx.TensorProto.INT64) for name in tensors):
            return "its numbers are not all float32"
        if not self._inner_reads.isdisjoint(node.output):
            return "a subgraph reads its result in float32"
        for name in tensors:
            if self._is_constant(name):
                values = onnx.numpy_helper.to_array(self._constants[name])
                most = float(np.abs(values).max(initial=0.0))
                if name not in node.input[1:2]:
                    most = max(most, 1.0)  # a bias may be as small as it is
                reason = _out_of_range(most, LARGEST, "weights")
            else:
                most = self._largest.get(name, 1.0)
                reason = _out_of_range(most, LARGEST / HEADROOM, "values")
            if reason:
                return reason
        return ""

    def _is_constant(self, name: str) -> bool:
        return name in self._constants and self._types.get(name) == _FLOAT

    def _to_half(self, node: onnx.NodeProto) -> None:
        for index, name in enumerate(node.input):
            if self._is_constant(name):
                node.input[index] = self._half_constant(name)
            elif name and name not in self._half and self._types.get(name) == _FLOAT:
                node.input[index] = self._cast(name, self._as_half, _HALF)
        self._nodes.append(node)
        self._half.update(name for name in node.output if self._types.get(name) == _FLOAT)

    def _to_float(self, node: onnx.NodeProto) -> None:
        for index, name in enumerate(node.input):
            if name in self._half:
                node.input[index] = self._cast(name, self._as_float, _FLOAT)
        self._nodes.append(node)

    def _half_constant(self, name: str) -> str:
        if name not in self._as_half:
            rounded = onnx.numpy_helper.to_array(self._constants[name]).astype(np.float16)
            new = self._new_name(f"{name}_fp16")
            self._model.graph.initializer.append(onnx.numpy_helper.from_array(rounded, new))
            self._as_half[name] = new
        return self._as_half[name]

    def _cast(self, name: str, known: dict[str, str], kind: int) -> str:
        if name not in known:
            suffix = "fp16" if kind == _HALF else "fp32"
            known[name] = self._new_name(f"{name}_{suffix}")
            node = onnx.helper.make_node("Cast", [name], [known[name]], f"{known[name]}_cast")
            node.attribute.append(onnx.helper.make_attribute("to", kind))
            self._nodes.append(node)
        return known[name]

    def _float_outputs(self) -> None:
        """Give the graph's outputs in float32, under the names that they have."""
        for output in self._model.graph.output:
            if output.name not in self._half:
                continue
            inner = self._new_name(f"{output.name}_in_fp16")
            for node in self._nodes:
                for names in (node.input, node.output):
                    for index, name in enumerate(names):
                        if name == output.name:
                            names[index] = inner
            node = onnx.helper.make_node("Cast", [inner], [output.name], f"{output.name}_cast")
            node.attribute.append(onnx.helper.make_attribute("to", _FLOAT))
            self._nodes.append(node)

    def _new_name(self, wanted: str) -> str:
        name = wanted
        while name in self._names:
            name += "_"
        self._names.add(name)
        return name

    def _drop_unread(self) -> None:
        """Drop the float32 weights that nothing reads now; those in float16 get their names."""
        graph = self._model.graph
        read = {name for node in graph.node for name in read_by(node)}
        read |= {output.name for output in graph.output}
        kept = [tensor for tensor in graph.initializer if tensor.name in read]
        free = {half: name for name, half in self._as_half.items() if name not in read}
        for tensor in kept:
            tensor.name = free.get(tensor.name, tensor.name)
        for node in graph.node:
            for index, name in enumerate(node.input):
                node.input[index] = free.get(name, name)
        # Copies, because clearing the field ends the life of what is in it.
        copies = [copy.deepcopy(tensor) for tensor in kept]
        del graph.initializer[:]
        graph.initializer.extend(copies)


def _out_of_range(most: float, limit: float, what: str) -> str:
    """Return why a tensor whose largest magnitude is ``most`` can't be float16; else nothing."""
    if not most <= limit:  # what is not a number, too
        room = "" if limit == LARGEST else f", of which a {HEADROOM:g}th is left for other images"
        return f"{what} of {most:,.0f}: float16 ends at 65,504{room}"
    if 0 < most < SMALLEST:
        return f"{what} of at most {most:.1e}: float16 loses bits below 6e-05"
    return ""
