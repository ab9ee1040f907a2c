"""Which operators run in int8, and which tensors therefore carry a scale.

ONNX Runtime fuses ``DQ -> op (-> Relu) -> Q`` into one int8 kernel. It does so only when every
input of the operator has a DQ and its output has exactly one consumer, the Q. The plan says
where these pairs go; :mod:`resnet_deploy.quantization.qdq` writes them.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field

import onnx_ir as ir

from resnet_deploy.errors import SpecError, UnsupportedGraphError
from resnet_deploy.graph.constants import constant, ints
from resnet_deploy.graph.layers import (
    FLOAT_KEY,
    WRITES_FLOAT_KEY,
    absorbed_output,
    is_plain_gemm,
)
from resnet_deploy.graph.module_names import module_of
from resnet_deploy.passes.zero_pad_shortcut import COPIES_KEY

OWN_RANGE = frozenset(
    {
        "Add",
        "AveragePool",
        "Concat",
        "Conv",
        "Gemm",
        "GlobalAveragePool",
        "LeakyRelu",
        "Mul",
        "Sigmoid",
    }
)
"""Operators with an int8 kernel whose output gets a range of its own."""

INPUT_RANGE = frozenset(
    {
        "DepthToSpace",
        "Flatten",
        "MaxPool",
        "Reshape",
        "Resize",
        "Slice",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)
"""Operators that move int8 values: their output has the range of their input."""

_BEHIND_ERF = 3
"""Add and two Muls: GELU is ``x / 2 (1 + erf(x / sqrt(2)))``, in any order."""

WEIGHTED = frozenset({"Conv", "Gemm"})
"""Operators with constant weights at input 1 and a bias at input 2."""


@dataclass
class Plan:
    """What is quantized.

    ``kept_float`` are the convolutions and linear layers that were excluded.
    ``gelus`` are the inputs of every GELU that is written with Erf, which stays float, and its
    operators. ``nodes`` are the int8 operators; ``outputs`` maps each to the tensor that its kernel
    writes (behind the ReLU it absorbs). ``tensors`` maps every quantized tensor to the tensor
    whose range it uses: itself, or the one it is moved from. ``floats`` are outputs that stay in
    float: no Q stands behind them, but in front of int8 operators that read them.
    """

    kept_float: list[ir.Node] = field(default_factory=list)
    gelus: dict[ir.Value, list[ir.Node]] = field(default_factory=dict)
    nodes: set[ir.Node] = field(default_factory=set)
    outputs: dict[ir.Node, ir.Value] = field(default_factory=dict)
    tensors: dict[ir.Value, ir.Value] = field(default_factory=dict)
    floats: set[ir.Value] = field(default_factory=set)

    @property
    def ranged(self) -> list[ir.Value]:
        """The tensors whose ranges have to be observed, in graph order."""
        return [value for value, source in self.tensors.items() if value is source]


def make_plan(model: ir.Model, exclude: tuple[str, ...] = ()) -> Plan:
    """Decide what runs in int8.

    Float stay operators with ``FLOAT_KEY``, and those whose torch module matches one of the globs
    ``exclude``.

    Raises:
        SpecError: a glob matches no operator.
        UnsupportedGraphError: ONNX Runtime would make an int8 operator that it can't run.
    """
    skipped = _excluded(model, exclude)
    skipped |= {node for node in model.graph if FLOAT_KEY in node.metadata_props}
    gelus = _gelus(model)
    skipped |= {part for parts in gelus.values() for part in parts}
    # In graph order: the same request must give the same bytes.
    kept = [node for node in model.graph if node in skipped and node.op_type in WEIGHTED]
    plan = Plan(kept_float=kept, gelus=gelus)
    for node in model.graph:
        if node in skipped:
            continue
        if node.op_type in OWN_RANGE and _computes_from_activations(node):
            for value in activation_inputs(node):
                plan.tensors.setdefault(value, value)
            output = absorbed_output(node)
            plan.nodes.add(node)
            plan.outputs[node] = output
            sources = {plan.tensors[value] for value in activation_inputs(node)}
            if WRITES_FLOAT_KEY in node.metadata_props:
                plan.floats.add(output)
                continue
            joins = node.op_type == "Concat" and len(sources) == 1  # parts of one tensor, again
            if COPIES_KEY in node.metadata_props or joins:
                (plan.tensors[output],) = sources
            elif not (node.op_type == "Gemm" and _wanted_in_float(output)):
                # QGemm writes float logits by itself; every other kernel needs its Q.
                plan.tensors[output] = output
        elif node.op_type in INPUT_RANGE and _moves_int8(plan, node, skipped):
            source, output = _input(node), node.outputs[0]
            plan.tensors.setdefault(source, source)
            plan.nodes.add(node)
            plan.outputs[node] = output
            plan.tensors[output] = plan.tensors[source]
    return _without_islands(plan)


def _without_islands(plan: Plan) -> Plan:
    """Leave in float what would be int8 between float operators alone.

    Its Q and DQ would cost more than its kernel saves, and the rounding for nothing: generalised
    means take the third power of what they pool.
    """
    found = True
    while found:
        found = False
        for node in list(plan.nodes):
            value = plan.outputs[node]
            inputs = activation_inputs(node)
            near = [use.node for use in value.uses()]
            int8 = set(plan.outputs.values())
            if (
                node.op_type in WEIGHTED
                or not near
                or any(other in plan.nodes for other in near)
                or any(given.producer() is None or given in int8 for given in inputs)
            ):
                continue
            plan.nodes.discard(node)
            del plan.outputs[node], plan.tensors[value]
            for given in inputs:
                if not any(use.node in plan.nodes for use in given.uses()):
                    plan.tensors.pop(given, None)
            found = True
    return plan


def activation_inputs(node: ir.Node) -> list[ir.Value]:
    """Return the inputs of an int8 operator that are activations, not parameters."""
    if node.op_type in ("Add", "Mul", "Concat"):
        return [value for value in node.inputs if value is not None]
    return [_input(node)]


def _wanted_in_float(value: ir.Value) -> bool:
    """True for logits, also where a Softmax or anything else without an int8 kernel follows."""
    return not any(use.node.op_type in OWN_RANGE | INPUT_RANGE for use in value.uses())


def _input(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    assert value is not None, f"{node.name} has no first input"
    return value


def _computes_from_activations(node: ir.Node) -> bool:
    if node.op_type in WEIGHTED:
        parameters = [value for value in node.inputs[1:3] if value is not None]
        return (
            all(constant(value) is not None for value in parameters)
            and constant(_input(node)) is None
            # Other forms of Gemm have no int8 kernel.
            and (node.op_type == "Conv" or is_plain_gemm(node))
        )
    if node.op_type == "AveragePool" and set(ints(node, "dilations", (1,))) != {1}:
        raise UnsupportedGraphError(
            f"{node.name}: ONNX Runtime's int8 average pool has no dilations, and a convolution is "
            "none whose border does not count: export it with count_include_pad=1"
        )
    # Mul, Add and Concat also do arithmetic on shapes (int64).
    return all(
        constant(value) is None and value.dtype is ir.DataType.FLOAT
        for value in activation_inputs(node)
    )


def _moves_int8(plan: Plan, node: ir.Node, skipped: set[ir.Node]) -> bool:
    """True when the input is int8 already, or is the graph's input and feeds int8 operators."""
    source = _input(node)
    if node.outputs[0].is_graph_output():
        return False
    if node.op_type == "Resize" and node.attributes.get_string("mode", "nearest") != "nearest":
        return False  # means of pixels are computed in float
    if source.producer() is None:
        consumers = [use.node for use in node.outputs[0].uses()]
        return all(
            reader not in skipped
            and reader.op_type in OWN_RANGE
            and _computes_from_activations(reader)  # not what a float front does with constants
            for reader in consumers
        )
    return source in plan.tensors and source.producer() not in skipped


def _gelus(model: ir.Model) -> dict[ir.Value, list[ir.Node]]:
    """Return what goes into every GELU that is written with Erf, and the operators it consists of.

    ONNX Runtime makes one Gelu of them, unless a Q/DQ pair is in between.
    """
    found: dict[ir.Value, list[ir.Node]] = {}
    for erf in model.graph:
        scaled = erf.inputs[0].producer() if erf.op_type == "Erf" and erf.inputs[0] else None
        x = None if scaled is None or scaled.op_type not in ("Div", "Mul") else scaled.inputs[0]
        if scaled is None or x is None:
            continue
        parts, node = [scaled], erf
        while len(parts) <= _BEHIND_ERF and len(uses := list(node.outputs[0].uses())) == 1:
            node = uses[0].node
            if node.op_type not in ("Add", "Mul"):
                break
            parts.append(node)
        found[x] = [*parts, *(use.node for use in x.uses() if use.node.op_type == "Mul")]
    return found


def _excluded(model: ir.Model, globs: tuple[str, ...]) -> set[ir.Node]:
    found: set[ir.Node] = set()
    for glob in globs:
        matches = {node for node in model.graph if fnmatch.fnmatchcase(module_of(node), glob)}
        if not matches:
            raise SpecError(f"--exclude {glob!r} matches no layer: see `resnet-deploy summary`")
        found |= matches
    return found
