"""Every convolution and linear layer gets a bias of its own.

Exporters merge equal biases (all zero in an untrained net). A shared bias is quantized once, with
the scale of one layer, and ONNX Runtime then runs the others in float.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from resnet_deploy.graph.constants import constant, new_initializer
from resnet_deploy.passes.result import PassResult, Refusal


def private_bias(model: ir.Model) -> PassResult:
    """Copy shared biases and add zero ones to convolutions that have none.

    Refuses weights and shared biases that are computed at run time.
    """
    changed, refusals = 0, []
    for node in model.graph:
        if node.op_type not in ("Conv", "Gemm"):
            continue
        weight = node.inputs[1]
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        if weight is None or (node.op_type == "Gemm" and bias is None):
            continue
        if bias is None:
            array = constant(weight)
            if array is None:
                refusals.append(Refusal.of(node, "its weights are computed at run time"))
                continue
            own = np.zeros(len(array), array.dtype)
        elif len(bias.uses()) > 1:
            array = constant(bias)
            if array is None:
                refusals.append(Refusal.of(node, "its shared bias is computed at run time"))
                continue
            own = array.copy()
        else:
            continue
        _set_bias(node, new_initializer(model.graph, _bias_name(weight), own))
        changed += 1
    return PassResult(changed, tuple(refusals))


def _bias_name(weight: ir.Value) -> str:
    return f"{str(weight.name).removesuffix('.weight')}.bias"


def _set_bias(node: ir.Node, bias: ir.Value) -> None:
    if len(node.inputs) < 3:
        node.resize_inputs(3)
    node.replace_input_with(2, bias)
