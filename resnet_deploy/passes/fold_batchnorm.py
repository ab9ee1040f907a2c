"""Conv or Gemm -> BatchNormalization  =>  the same with other weights.

With s = gamma / sqrt(var + eps), computed in float64 and rounded once:
``BN(W * x + b) = (s W) * x + (s (b - mean) + beta)``.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.graph.constants import constant, new_initializer, optional_input
from resnet_deploy.graph.layers import is_plain_gemm
from resnet_deploy.passes.result import PassResult, rewrite_each

_DEFAULT_EPSILON = 1e-5


def fold_batchnorm(model: ir.Model) -> PassResult:
    """Fold every BatchNormalization whose input is a layer with constant weights.

    Refuses when the layer's output has another consumer or is a graph output, when any parameter is
    computed at run time, and a Gemm with factors or transposed input.
    """
    return rewrite_each(model, ("BatchNormalization",), _fold)


def affine_of(bn: ir.Node) -> tuple[Array, Array] | str:
    """Return ``s`` and ``t`` of ``bn(x) = s x + t``, float64 per channel, or why there are none."""
    # Before opset 14, outputs for the statistics of the batch are what tells.
    if bn.attributes.get_int("training_mode", 0) or any(value.name for value in bn.outputs[1:]):
        return "it is in training mode"
    statistics = [constant(value) for value in bn.inputs[1:5]]
    if any(array is None for array in statistics):
        return "its parameters are computed at run time"
    gamma, beta, mean, var = (np.asarray(array, np.float64) for array in statistics)
    scale: Array = gamma / np.sqrt(var + bn.attributes.get_float("epsilon", _DEFAULT_EPSILON))
    return scale, np.asarray(beta - mean * scale)


def _fold(graph: ir.Graph, bn: ir.Node) -> str | None:
    """Fold ``bn``, or return why not."""
    x = bn.inputs[0]
    layer = None if x is None else x.producer()
    if x is None or layer is None or layer.op_type not in ("Conv", "Gemm"):
        return "it does not follow a convolution or linear layer"
    if len(x.uses()) != 1 or x.is_graph_output():
        return f"it is not the only reader of {layer.name or x.name}"
    affine = affine_of(bn)
    if isinstance(affine, str):
        return affine
    weight = constant(layer.inputs[1])
    bias_value = optional_input(layer, 2)
    bias = constant(bias_value)
    if weight is None or (bias_value is not None and bias is None):
        return "the parameters of the layer in front of it are computed at run time"
    axis = 0
    if layer.op_type == "Gemm":
        if not is_plain_gemm(layer):
            return "the Gemm in front of it has factors or a transposed input"
        axis = 0 if layer.attributes.get_int("transB", 0) else 1

    scale, shift = affine
    by_output = [1] * weight.ndim
    by_output[axis] = -1
    new_weight: Array = weight * scale.reshape(by_output)
    new_bias: Array = (0.0 if bias is None else bias) * scale + shift

    name = str(layer.inputs[1].name if layer.inputs[1] is not None else layer.name)
    stem = name.removesuffix(".weight")
    inputs = [
        layer.inputs[0],
        new_initializer(graph, f"{stem}.weight", new_weight.astype(weight.dtype)),
        new_initializer(graph, f"{stem}.bias", new_bias.astype(weight.dtype)),
    ]
    replacement = ir.node(
        layer.op_type,
        inputs,
        attributes=layer.attributes,
        name=layer.name,
        metadata_props=dict(layer.metadata_props),
    )
    ir.convenience.replace_nodes_and_values(
        graph, bn, [bn, layer], [replacement], bn.outputs[:1], replacement.outputs
    )
    return None
