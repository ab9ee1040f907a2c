"""Terms of a sum that a ReLU follows: which of their values make a difference.

In ``relu(x + y)`` a strongly negative ``y`` does not matter: where ``x + y`` is below zero, any
``y`` up to ``-x`` gives the same. So ``y`` may be clipped there, and what counts of it are two
other tensors, each zero where the other one is not:

- ``active``: ``y`` where the sum is above zero. There rounding and clipping change the result.
- ``inactive``: ``-x`` elsewhere. Only a lowest code above that would change the result, by as much.

ONNX Runtime computes both from the float network, so they are counted like any other tensor. For
``x >= 0``, which a stream behind a ReLU is, the error of ``relu(x + Q(y))`` follows from them
exactly. An ``x`` that may be negative (a projection) forgives some clipping at the upper end as
well, which is not counted on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import onnx

from resnet_deploy.graph.layers import absorbed_output
from resnet_deploy.quantization.plan import Plan, activation_inputs

_ZERO = "resnet_deploy.zero"


@dataclass(frozen=True)
class ReluTerm:
    """The tensor ``value`` is added to ``other``, and ``result`` is what the ReLU makes of it."""

    value: str
    other: str
    result: str

    @property
    def active(self) -> str:
        """The name of the tensor of values that make a difference."""
        return f"{self.value}.active"

    @property
    def inactive(self) -> str:
        """The name of the tensor of lowest ends that make none."""
        return f"{self.value}.inactive"

    def nodes(self) -> list[onnx.NodeProto]:
        """Return what computes both."""
        positive, rest, below = (f"{self.value}.{what}" for what in ("positive", "rest", "below"))
        make = onnx.helper.make_node
        return [
            make("Greater", [self.result, _ZERO], [positive]),
            make("Where", [positive, self.value, _ZERO], [self.active]),
            make("Relu", [self.other], [rest]),
            make("Neg", [rest], [below]),
            make("Where", [positive, _ZERO, below], [self.inactive]),
        ]


def relu_terms(plan: Plan) -> list[ReluTerm]:
    """Return the int8 terms of such sums that have a range of their own and no other reader."""
    found = []
    for value in plan.ranged:
        uses = list(value.uses())
        if len(uses) != 1 or value.is_graph_output() or uses[0].node not in plan.nodes:
            continue
        node = uses[0].node
        result = absorbed_output(node)
        if node.op_type != "Add" or result is node.outputs[0]:
            continue
        (other,) = (term for term in activation_inputs(node) if term is not value)
        found.append(ReluTerm(str(value.name), str(other.name), str(result.name)))
    return found


@contextmanager
def extended(model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto]) -> Iterator[None]:
    """Let ``model`` compute more: ``nodes`` stand at its end, and are gone again afterwards.

    In place and back, because a copy of the weights would count in the peak memory.
    """
    graph = model.graph
    count = len(graph.node)
    graph.node.extend(nodes)
    graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((), np.float32), _ZERO))
    try:
        yield
    finally:
        del graph.node[count:]
        del graph.initializer[-1:]
