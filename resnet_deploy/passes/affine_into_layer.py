"""A factor and a summand per channel behind a convolution or linear layer  =>  its parameters.

TensorFlow's converters write a BatchNormalization that was folded into itself as a Mul and an Add:
``s (W x + b) + t`` is ``(s W) x + (s b + t)``, in float64, rounded once.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.graph.constants import constant, optional_input, set_parameters
from resnet_deploy.graph.layers import is_plain_gemm
from resnet_deploy.passes.result import PassResult, rewrite_each


def affine_into_layer(model: ir.Model) -> PassResult:
    """Fold every Mul, Div, Add or Sub of a constant that alone reads a Conv or Gemm.

    Refuses constants that differ within a channel, and layers whose parameters others read too or
    are computed at run time.
    """
    return rewrite_each(model, ("Mul", "Div", "Add", "Sub"), _fold, candidate=_is_affine)


def _is_affine(node: ir.Node) -> bool:
    """Whether it reads a constant and the only use of a layer."""
    return _layer_of(node) is not None


def _layer_of(node: ir.Node) -> tuple[ir.Node, ir.Value, bool] | None:
    """Return the layer, the constant, and whether that is the second operand."""
    for index in (0, 1):
        x, other = node.inputs[index], node.inputs[1 - index]
        layer = None if x is None else x.producer()
        if x is None or layer is None or other is None or constant(other) is None:
            continue
        if layer.op_type in ("Conv", "Gemm") and len(x.uses()) == 1 and not x.is_graph_output():
            return layer, other, index == 0
    return None


def _fold(graph: ir.Graph, node: ir.Node) -> str | None:
    found = _layer_of(node)
    assert found is not None, "it is a candidate"
    layer, operand, second = found
    weight, bias = constant(layer.inputs[1]), constant(optional_input(layer, 2))
    if weight is None or (bias is None and optional_input(layer, 2) is not None):
        return "the parameters of the layer in front of it are computed at run time"
    if node.op_type in ("Div", "Sub") and not second:
        return "it divides or subtracts what a layer gives"
    if layer.op_type == "Gemm" and not is_plain_gemm(layer):
        return "the Gemm in front of it has factors or a transposed input"
    by_row = layer.op_type == "Conv" or bool(layer.attributes.get_int("transB", 0))
    outputs = weight.shape[0 if by_row else 1]
    numbers = _by_channel(constant(operand), outputs, weight.ndim)
    if numbers is None:
        return "its constant is not one number a channel"
    scale, shift = np.ones(outputs), np.zeros(outputs)
    with np.errstate(all="ignore"):
        if node.op_type in ("Mul", "Div"):
            scale = numbers if node.op_type == "Mul" else 1 / numbers
        else:
            shift = numbers if node.op_type == "Add" else -numbers
        across = (-1, *(1,) * (weight.ndim - 1)) if by_row else (1, -1)
        own = np.zeros(outputs) if bias is None else bias.astype(np.float64)
        new_weight = weight.astype(np.float64) * scale.reshape(across)
        new_bias = own * scale + shift
    if not (np.isfinite(new_weight).all() and np.isfinite(new_bias).all()):
        return "the product with its constant is not finite"
    set_parameters(graph, layer, str(layer.name or node.name), new_weight, new_bias)
    node.outputs[0].replace_all_uses_with(layer.outputs[0], replace_graph_outputs=True)
    graph.remove(node, safe=True)
    return None


def _by_channel(array: Array | None, outputs: int, rank: int) -> Array | None:
    """Return one number a channel (axis 1), float64; None for any other constant."""
    if array is None or array.ndim > rank or array.size not in (1, outputs):
        return None
    full = array.reshape((1,) * (rank - array.ndim) + array.shape)
    if array.size > 1 and full.shape[1] != outputs:
        return None
    found: Array = np.broadcast_to(full.astype(np.float64).ravel(), (outputs,))
    return found
