"""Conv -> BatchNormalization  =>  Conv.

With s = gamma / sqrt(var + eps), computed in float64 and rounded once:
``BN(W * x + b) = (s W) * x + (s (b - mean) + beta)``.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.graph.constants import constant, new_initializer, optional_input
from resnet_deploy.passes.result import PassResult, rewrite_each

_DEFAULT_EPSILON = 1e-5


def fold_batchnorm(model: ir.Model) -> PassResult:
    """Fold every BatchNormalization whose input is a convolution with constant weights.

    Refuses when the convolution's output has another consumer or is a graph output, or when
    any parameter is computed at run time.
    """
    return rewrite_each(model, ("BatchNormalization",), _fold)


def _fold(graph: ir.Graph, bn: ir.Node) -> str | None:
    """Fold ``bn``, or return why not."""
    x = bn.inputs[0]
    conv = None if x is None else x.producer()
    if x is None or conv is None or conv.op_type != "Conv":
        return "it does not follow a convolution"
    if len(x.uses()) != 1 or x.is_graph_output():
        return f"it is not the only reader of {conv.name or x.name}"
    if bn.attributes.get_int("training_mode", 0):
        return "it is in training mode"
    weight = constant(conv.inputs[1])
    bias_value = optional_input(conv, 2)
    bias = constant(bias_value)
    statistics = [constant(value) for value in bn.inputs[1:5]]
    computed_bias = bias_value is not None and bias is None
    if weight is None or computed_bias or any(array is None for array in statistics):
        return "its parameters, or those of the convolution, are computed at run time"

    gamma, beta, mean, var = (np.asarray(array, np.float64) for array in statistics)
    scale = gamma / np.sqrt(var + bn.attributes.get_float("epsilon", _DEFAULT_EPSILON))
    new_weight: Array = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    new_bias: Array = ((0.0 if bias is None else bias) - mean) * scale + beta

    name = str(conv.inputs[1].name if conv.inputs[1] is not None else conv.name)
    stem = name.removesuffix(".weight")
    inputs = [
        conv.inputs[0],
        new_initializer(graph, f"{stem}.weight", new_weight.astype(weight.dtype)),
        new_initializer(graph, f"{stem}.bias", new_bias.astype(weight.dtype)),
    ]
    replacement = ir.node(
        "Conv",
        inputs,
        attributes=conv.attributes,
        name=conv.name,
        metadata_props=dict(conv.metadata_props),
    )
    ir.convenience.replace_nodes_and_values(
        graph, bn, [bn, conv], [replacement], bn.outputs[:1], replacement.outputs
    )
    return None
