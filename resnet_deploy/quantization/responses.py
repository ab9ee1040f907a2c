"""What becomes of a tensor that only a gate reads, and so which of its errors matter.

``SiLU(x) = x sigmoid(x)`` and ``HardSwish(x) = x clip(x / 6 + 1/2, 0, 1)`` make next to nothing of
what lies far below zero, and pass on what lies above. A range for such a tensor is that of least
error behind the gate: its low end moves up to where the gate closes, its high end stays, and the
steps get finer. Least error of ``x`` itself would clip both ends alike.

Sources: Elfwing et al., "Sigmoid-Weighted Linear Units" (arXiv:1702.03118); Howard et al.,
"Searching for MobileNetV3" (ICCV 2019, section 5.2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.graph.constants import constant, optional_input
from resnet_deploy.graph.layers import absorbed_output
from resnet_deploy.quantization.plan import Plan


@dataclass(frozen=True)
class Response:
    """What is made of every number of a tensor, and how fast it changes there."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]


def _sigmoid(x: Array) -> Array:
    return np.asarray(0.5 + 0.5 * np.tanh(x / 2))  # which does not overflow


def _hard_gate(x: Array) -> Array:
    return np.clip(x / 6 + 0.5, 0, 1)


SIGMOID = Response(_sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x))
SWISH = Response(lambda x: x * _sigmoid(x), lambda x: _sigmoid(x) * (1 + x * _sigmoid(-x)))
HARD_SWISH = Response(
    lambda x: x * _hard_gate(x), lambda x: _hard_gate(x) + np.where(np.abs(x) < 3, x / 6, 0)
)


def responses(plan: Plan) -> dict[str, Response]:
    """Return, by name, the response to each tensor with a range that only a gate reads."""
    found = {str(value.name): _response(value) for value in plan.ranged}
    return {name: response for name, response in found.items() if response is not None}


def _response(value: ir.Value) -> Response | None:
    readers = {use.node for use in value.uses()}
    gates = [node for node in readers if node.op_type != "Mul"]
    products = [node for node in readers if node.op_type == "Mul"]
    if value.is_graph_output() or not gates:
        return None
    if not products:
        return SIGMOID if all(node.op_type == "Sigmoid" for node in gates) else None
    if len(gates) > 1 or len(products) > 1:
        return None
    opened = absorbed_output(gates[0])
    if set(products[0].inputs) != {value, opened} or len(opened.uses()) != 1:
        return None
    if gates[0].op_type == "Sigmoid":
        return SWISH
    return HARD_SWISH if _is_hard_gate(gates[0]) else None


def _is_hard_gate(node: ir.Node) -> bool:
    """Whether ``node``, with the Clip that it absorbs, is ``clip(x / 6 + 1/2, 0, 1)``."""
    if node.op_type != "Conv":
        return False
    weight, bias = constant(node.inputs[1]), constant(optional_input(node, 2))
    clip = absorbed_output(node).producer()
    if weight is None or bias is None or clip is None or clip.op_type != "Clip":
        return False
    low, high = (constant(optional_input(clip, place)) for place in (1, 2))
    return (
        weight.shape[1:] == (1, 1, 1)
        and len(weight) == node.attributes.get_int("group", 1)
        and np.allclose(weight, 1 / 6)
        and np.allclose(bias, 0.5)
        and low is not None
        and high is not None
        and (float(low), float(high)) == (0.0, 1.0)
    )
