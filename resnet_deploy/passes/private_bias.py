"""Every convolution and linear layer gets a bias of its own.

Exporters merge equal biases (all zero in an untrained net). A shared bias is quantized once, with
the scale of one layer, and ONNX Runtime then runs the others in float.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from resnet_deploy.graph.constants import constant, new_initializer, optional_input, set_input
from resnet_deploy.passes.result import PassResult, rewrite_each


def private_bias(model: ir.Model) -> PassResult:
    """Copy shared biases and add zero ones to convolutions that have none.

    Refuses weights and shared biases that are computed at run time.
    """
    return rewrite_each(model, ("Conv", "Gemm"), _give_bias, candidate=_lacks_bias)


def _lacks_bias(node: ir.Node) -> bool:
    bias = optional_input(node, 2)
    return node.op_type == "Conv" if bias is None else len(bias.uses()) > 1


def _give_bias(graph: ir.Graph, node: ir.Node) -> str | None:
    weight, shared = node.inputs[1], optional_input(node, 2)
    array = constant(weight if shared is None else shared)
    if array is None:
        return f"its {'weights are' if shared is None else 'shared bias is'} computed at run time"
    assert weight is not None, "a convolution and a linear layer have weights"
    name = f"{str(weight.name).removesuffix('.weight')}.bias"
    own = np.zeros(len(array), array.dtype) if shared is None else array
    set_input(node, 2, new_initializer(graph, name, own))
    return None
