"""Writes the QuantizeLinear / DequantizeLinear pairs of a plan into a graph."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from resnet_deploy.artifact import MODULE_KEY
from resnet_deploy.passes.constants import Array, constant, new_initializer
from resnet_deploy.quantize.kernels import weight_zero_point
from resnet_deploy.quantize.plan import WEIGHTED, Plan, activation_inputs
from resnet_deploy.quantize.ranges import Range
from resnet_deploy.quantize.weights import quantize_weights
from resnet_deploy.spec import TargetIsa


def write_qdq(
    model: ir.Model,
    plan: Plan,
    ranges: Mapping[str, Range],
    target: TargetIsa = TargetIsa.PORTABLE,
) -> None:
    """Insert the Q/DQ pairs of ``plan`` in place.

    Args:
        model: the fp32 graph that ``plan`` was made for.
        plan: which operators and tensors.
        ranges: by name, the range of every tensor in ``plan.ranged``.
        target: which CPUs the kernels are chosen for; not ``auto``.
    """
    graph = model.graph
    parameters = {
        source: _parameters(graph, source, ranges[str(source.name)]) for source in plan.ranged
    }
    dequantized: dict[ir.Value, ir.Value] = {}
    for value, source in plan.tensors.items():
        scale, zero_point = parameters[source]
        dequantized[value] = _insert_pair(graph, plan, value, scale, zero_point)
    for node in plan.kept_float:
        _keep_float(graph, node)
    for node in list(graph):
        if node in plan.nodes and node.op_type in WEIGHTED:
            source = plan.tensors[_original(activation_inputs(node)[0], dequantized)]
            _quantize_parameters(graph, node, ranges[str(source.name)].scale, target)


def _keep_float(graph: ir.Graph, node: ir.Node) -> None:
    """Put a Clip that clips nothing in front of an excluded layer.

    Between a DQ and a Q, ONNX Runtime would quantize the layer's float weights by itself
    (WeightBiasQuantization) and run it in int8 all the same.
    """
    source = node.inputs[0]
    assert source is not None, f"{node.name} has no first input"
    lowest = np.asarray(np.finfo(np.float32).min, np.float32)
    clip = ir.node(
        "Clip",
        [source, new_initializer(graph, f"{node.name}.lowest", lowest)],
        name=f"{node.name}.keep_float",
        metadata_props=dict(node.metadata_props),
    )
    clip.outputs[0].name, clip.outputs[0].type = str(clip.name), source.type
    graph.insert_before(node, clip)
    node.replace_input_with(0, clip.outputs[0])


def _parameters(graph: ir.Graph, value: ir.Value, chosen: Range) -> tuple[ir.Value, ir.Value]:
    scale = new_initializer(graph, f"{value.name}.scale", np.asarray(chosen.scale))
    zero = new_initializer(graph, f"{value.name}.zero_point", np.asarray(chosen.zero_point))
    return scale, zero


def _insert_pair(
    graph: ir.Graph, plan: Plan, value: ir.Value, scale: ir.Value, zero_point: ir.Value
) -> ir.Value:
    """Put Q and DQ behind ``value``; return the DQ's output.

    An int8 producer must have the Q as its only consumer, so everybody reads the DQ. Behind a
    float producer only the int8 consumers do.
    """
    producer = value.producer()
    uses = list(value.uses())
    from_int8 = value in plan.outputs.values()
    module = "" if producer is None else producer.metadata_props.get(MODULE_KEY, "")
    quantize = ir.node(
        "QuantizeLinear",
        [value, scale, zero_point],
        name=f"{value.name}.quantize",
        metadata_props={MODULE_KEY: module},
    )
    dequantize = ir.node(
        "DequantizeLinear",
        [quantize.outputs[0], scale, zero_point],
        name=f"{value.name}.dequantize",
        metadata_props={MODULE_KEY: module},
    )
    quantize.outputs[0].name = f"{value.name}.quantized"
    output = dequantize.outputs[0]
    output.name, output.type, output.shape = f"{value.name}.dequantized", value.type, value.shape
    if producer is None:
        graph.insert_before(graph[0], [quantize, dequantize])
    else:
        graph.insert_after(producer, [quantize, dequantize])
    for use in uses:
        if from_int8 or use.node in plan.nodes:
            use.node.replace_input_with(use.idx, output)
    if value.is_graph_output():
        _keep_output_name(graph, value, output)
    return output


def _keep_output_name(graph: ir.Graph, value: ir.Value, output: ir.Value) -> None:
    """A graph output that is quantized is read behind its DQ, under its own name."""
    name = str(value.name)
    graph.outputs[graph.outputs.index(value)] = output
    value.name, output.name = f"{name}.float", name


def _original(value: ir.Value, dequantized: Mapping[ir.Value, ir.Value]) -> ir.Value:
    """Return the tensor of the fp32 graph whose DQ output is ``value``."""
    return next(original for original, output in dequantized.items() if output is value)


def _quantize_parameters(
    graph: ir.Graph, node: ir.Node, input_scale: np.float32, target: TargetIsa
) -> None:
    weight_value = node.inputs[1]
    weight = constant(weight_value)
    assert weight_value is not None, "the plan takes nodes with constant weights only"
    assert weight is not None, "the plan takes nodes with constant weights only"
    transposed = node.op_type == "Conv" or (
        "transB" in node.attributes and node.attributes["transB"].as_int() == 1
    )
    axis = 0 if transposed else 1
    bias_value = node.inputs[2] if len(node.inputs) > 2 else None
    bias = constant(bias_value)
    channels = weight.shape[axis]
    flat_bias = np.zeros(channels) if bias is None else np.broadcast_to(bias, (channels,))
    zero_point = weight_zero_point(node, target)
    quantized = quantize_weights(weight, flat_bias, input_scale, axis, zero_point)

    weight_dq = _dequantize(
        graph,
        node,
        f"{node.name}.weight",  # not the weight's own name: two layers may share it
        (quantized.weight, quantized.scale, quantized.zero_point),
        axis,
    )
    zeros = np.zeros(channels, np.int32)
    bias_dq = _dequantize(
        graph, node, f"{node.name}.bias", (quantized.bias, quantized.bias_scale, zeros), 0
    )
    node.replace_input_with(1, weight_dq)
    if len(node.inputs) < 3:
        node.resize_inputs(3)
    node.replace_input_with(2, bias_dq)
    for old in (weight_value, bias_value):
        if old is not None and not old.uses():
            graph.initializers.pop(str(old.name), None)


def _dequantize(
    graph: ir.Graph, node: ir.Node, name: str, tensors: tuple[Array, Array, Array], axis: int
) -> ir.Value:
    """Put a DQ over constant ``tensors`` (codes, scale, zero point) in front of ``node``."""
    codes, scale, zero_point = tensors
    dequantize = ir.node(
        "DequantizeLinear",
        [
            new_initializer(graph, f"{name}.quantized", codes),
            new_initializer(graph, f"{name}.scale", scale),
            new_initializer(graph, f"{name}.zero_point", zero_point),
        ],
        attributes={"axis": axis},
        name=f"{name}.dequantize",
        metadata_props=dict(node.metadata_props),
    )
    dequantize.outputs[0].name = f"{name}.dequantized"
    graph.insert_before(node, dequantize)
    return dequantize.outputs[0]
