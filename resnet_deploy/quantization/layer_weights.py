"""Quantizes the weights of every layer of a plan, with what its input looks like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx_ir as ir

from resnet_deploy.graph.constants import constant
from resnet_deploy.passes.zero_pad_shortcut import COPIES_KEY
from resnet_deploy.quantization.kernels import group_of, smallest_weight_scale, weight_zero_point
from resnet_deploy.quantization.moments import LayerInput, Moments
from resnet_deploy.quantization.plan import WEIGHTED, Plan, activation_inputs
from resnet_deploy.quantization.ranges import QuantizationParameters
from resnet_deploy.quantization.weights import QuantizedWeights, quantize_weights
from resnet_deploy.spec import TargetIsa


def weighted_layers(model: ir.Model, plan: Plan) -> dict[str, ir.Node]:
    """Return the convolutions and linear layers that run in int8, by node name, in graph order."""
    return {
        str(node.name): node
        for node in model.graph
        if node in plan.nodes and node.op_type in WEIGHTED
    }


def layer_inputs(
    model: ir.Model, plan: Plan, codes: Mapping[str, QuantizationParameters]
) -> dict[str, LayerInput]:
    """Return how each layer reads its input, by node name.

    Left out are convolutions that only copy: their weights are exact.
    """
    return {
        name: _layer_input(node, codes[str(plan.tensors[activation_inputs(node)[0]].name)])
        for name, node in weighted_layers(model, plan).items()
        if COPIES_KEY not in node.metadata_props
    }


def quantize_layers(
    model: ir.Model,
    plan: Plan,
    codes: Mapping[str, QuantizationParameters],
    target: TargetIsa,
    moments: Iterable[tuple[str, Moments]] = (),
) -> dict[str, QuantizedWeights]:
    """Return the quantized parameters of every int8 layer, by node name.

    Args:
        model: the fp32 graph that ``plan`` was made for.
        plan: which operators and tensors.
        codes: by name, the codes of every tensor in ``plan.ranged``.
        target: which CPUs the kernels are chosen for; not ``auto``.
        moments: by node name, what is known about the layers' inputs.
    """
    nodes = weighted_layers(model, plan)
    scales = {
        name: codes[str(plan.tensors[activation_inputs(node)[0]].name)].scale
        for name, node in nodes.items()
    }
    # One layer after the other, because covariances are large.
    found = {name: _quantized(nodes[name], scales[name], target, known) for name, known in moments}
    rest = {name: node for name, node in nodes.items() if name not in found}
    return found | {
        name: _quantized(node, scales[name], target, None) for name, node in rest.items()
    }


def channel_axis(node: ir.Node) -> int:
    """Return the axis of the output channels in the weights of a Conv or Gemm."""
    transposed = "transB" in node.attributes and node.attributes["transB"].as_int() == 1
    return 0 if node.op_type == "Conv" or transposed else 1


def _quantized(
    node: ir.Node, input_scale: np.float32, target: TargetIsa, moments: Moments | None
) -> QuantizedWeights:
    weight = constant(node.inputs[1])
    assert weight is not None, "the plan takes nodes with constant weights only"
    axis = channel_axis(node)
    channels = weight.shape[axis]
    bias = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    return quantize_weights(
        weight,
        np.zeros(channels) if bias is None else np.broadcast_to(bias, (channels,)),
        input_scale,
        axis=axis,
        zero_point=weight_zero_point(node, target),
        smallest_scale=smallest_weight_scale(node, weight, axis, target),
        moments=moments,
    )


def _layer_input(node: ir.Node, codes: QuantizationParameters) -> LayerInput:
    weight = constant(node.inputs[1])
    assert weight is not None, "the plan takes nodes with constant weights only"
    tensor = str(activation_inputs(node)[0].name)
    if node.op_type == "Gemm":
        return LayerInput(node, tensor, codes, (), weight.shape[1 - channel_axis(node)])
    return LayerInput(
        node, tensor, codes, weight.shape[2:], int(weight[0].size), groups=group_of(node)
    )
