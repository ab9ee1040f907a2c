"""Writes the QuantizeLinear / DequantizeLinear pairs of a plan into a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.graph.constants import constant, drop_unused, insert_node, new_initializer
from resnet_deploy.graph.layers import FLOAT_KEY
from resnet_deploy.graph.module_names import module_metadata
from resnet_deploy.quantization.kernels import group_of
from resnet_deploy.quantization.pack_groups import pack_groups
from resnet_deploy.quantization.plan import WEIGHTED, Plan
from resnet_deploy.quantization.ranges import QuantizationParameters
from resnet_deploy.quantization.weights import QuantizedWeights, channel_axis
from resnet_deploy.rewrites.pixel_input import PIXELS_KEY

_TIE = 0.499
"""Fraction of a code from which on float32 decides how a pixel is rounded."""


def write_qdq(
    model: ir.Model,
    plan: Plan,
    parameters: Mapping[str, QuantizationParameters],
    weights: Mapping[str, QuantizedWeights],
) -> None:
    """Insert the Q/DQ pairs of ``plan`` into its fp32 graph ``model``, in place.

    ``parameters`` are those of the tensors in ``plan.ranged`` by name, ``weights`` those of all
    int8 convolutions and linear layers by node name.
    """
    graph = model.graph
    initializers = {}
    for source in plan.ranged:
        chosen = parameters[str(source.name)]
        scale = new_initializer(graph, f"{source.name}.scale", np.asarray(chosen.scale))
        zero = new_initializer(graph, f"{source.name}.zero_point", np.asarray(chosen.zero_point))
        initializers[source] = scale, zero
    for value, source in plan.tensors.items():
        _insert_pair(graph, plan, value, *initializers[source])
    for node in plan.kept_float:
        _keep_float(graph, node)
    for value, parts in plan.gelus.items():
        _keep_fused(graph, value, parts)
    for node in list(graph):
        if node in plan.nodes and node.op_type in WEIGHTED:
            _quantize_parameters(graph, node, weights[str(node.name)])


def _keep_float(graph: ir.Graph, node: ir.Node) -> None:
    """Put a Clip that clips nothing in front of an excluded layer.

    Between a DQ and a Q, ONNX Runtime would quantize the layer's float weights by itself
    (WeightBiasQuantization) and run it in int8 all the same.
    """
    source = node.inputs[0]
    assert source is not None, f"{node.name} has no first input"
    if FLOAT_KEY in node.metadata_props and not _is_dequantized(source):
        return  # inside of a float stage, a Clip would cost and keep nothing
    node.replace_input_with(0, _clipping_nothing(graph, source, node))


def _keep_fused(graph: ir.Graph, x: ir.Value, parts: Sequence[ir.Node]) -> None:
    """Let the parts of a GELU read a Clip that clips nothing, if they would read a DQ.

    ONNX Runtime gives every reader of a DQ one of its own, and then sees no GELU in them.
    """
    first = parts[0]
    source = next((value for value in first.inputs if value is not None), x)
    if not _is_dequantized(source):
        return
    clipped = _clipping_nothing(graph, source, first)
    for node in parts:
        for index, value in enumerate(node.inputs):
            if value is source:
                node.replace_input_with(index, clipped)


def _is_dequantized(value: ir.Value) -> bool:
    producer = value.producer()
    return producer is not None and producer.op_type == "DequantizeLinear"


def _clipping_nothing(graph: ir.Graph, source: ir.Value, reader: ir.Node) -> ir.Value:
    """Return ``source`` behind a Clip in front of ``reader``."""
    lowest = np.asarray(np.finfo(np.float32).min, np.float32)
    clip = ir.node(
        "Clip",
        [source, new_initializer(graph, f"{reader.name}.lowest", lowest)],
        name=f"{reader.name}.keep_float",
        metadata_props=dict(reader.metadata_props),
    )
    clip.outputs[0].name, clip.outputs[0].type = str(clip.name), source.type
    graph.insert_before(reader, clip)
    return clip.outputs[0]


def _insert_pair(
    graph: ir.Graph, plan: Plan, value: ir.Value, scale: ir.Value, zero_point: ir.Value
) -> None:
    """Put Q and DQ behind ``value``.

    An int8 producer must have the Q as its only consumer, so all others read the DQ. Behind a
    float producer only the int8 consumers do.
    """
    producer = value.producer()
    uses = list(value.uses())
    from_int8 = value in plan.outputs.values() and value not in plan.floats
    transpose = _transposed_bytes(producer)
    quantize = ir.node(
        "QuantizeLinear",
        [value if transpose is None else transpose.outputs[0], scale, zero_point],
        name=f"{value.name}.quantize",
        metadata_props=module_metadata(producer),
    )
    if transpose is not None:
        _dequantize_in_front(graph, transpose, scale, zero_point)
    elif producer is not None and PIXELS_KEY in producer.metadata_props:
        _quantize_by_channel(graph, quantize, producer, scale, zero_point)
    quantize.outputs[0].name = f"{value.name}.quantized"
    metadata = module_metadata(producer)
    dequantize = _dequantize(str(value.name), [quantize.outputs[0], scale, zero_point], metadata)
    pair = [quantize, dequantize]
    output = dequantize.outputs[0]
    output.type, output.shape = value.type, value.shape
    if producer is None:
        graph.insert_before(graph[0], pair)
    else:
        graph.insert_after(producer, pair)
    for use in uses:
        if from_int8 or use.node in plan.nodes:
            use.node.replace_input_with(use.idx, output)
    if from_int8 and value.is_graph_output():
        _keep_output_name(graph, value, dequantize)


def _transposed_bytes(producer: ir.Node | None) -> ir.Node | None:
    """Return the Transpose of bytes that ``producer`` scales to pixels in float."""
    if producer is None or producer.op_type != "Mul" or PIXELS_KEY not in producer.metadata_props:
        return None
    cast = producer.inputs[0].producer() if producer.inputs[0] is not None else None
    source = None if cast is None else cast.inputs[0]
    return None if source is None else source.producer()


def _dequantize_in_front(
    graph: ir.Graph, transpose: ir.Node, scale: ir.Value, zero_point: ir.Value
) -> None:
    """Let ``transpose`` move what its bytes stand for, not bytes.

    ONNX Runtime takes the pairs on its two sides away and moves bytes all the same. OpenVINO knows
    a scale only right behind the bytes; it moves a Transpose to the other side of what follows.
    """
    inputs = [transpose.inputs[0], scale, zero_point]
    dequantize = _dequantize(str(transpose.name), inputs, transpose.metadata_props)
    output, moved = dequantize.outputs[0], transpose.outputs[0]
    output.type = moved.type = ir.TensorType(ir.DataType.FLOAT)
    graph.insert_before(transpose, dequantize)
    transpose.replace_input_with(0, output)


def _keep_output_name(graph: ir.Graph, value: ir.Value, dequantize: ir.Node) -> None:
    """A graph output that is quantized is read behind a DQ, under its own name.

    Where int8 operators read it too, they keep a DQ for themselves: ONNX Runtime fuses none that
    the outside reads.
    """
    name = str(value.name)
    output = dequantize.outputs[0]
    if output.uses():
        own = ir.node(
            "DequantizeLinear",
            dequantize.inputs,
            name=f"{name}.output",
            metadata_props=dict(dequantize.metadata_props),
        )
        graph.insert_after(dequantize, own)
        output = own.outputs[0]
        output.type, output.shape = value.type, value.shape
    graph.outputs[graph.outputs.index(value)] = output
    value.name, output.name = f"{name}.float", name


def _quantize_by_channel(
    graph: ir.Graph, quantize: ir.Node, pixels: ir.Node, scale: ir.Value, zero_point: ir.Value
) -> None:
    """Let ``quantize`` do the work of the Mul and Add in front of it: p = slope x + offset.

    ``round(p / scale) + zero = round(x / (scale / slope) + offset / scale) + zero``, and the offset
    in whole codes moves into the zero point. What its fraction would add is less than rounding
    makes of it, as pixels are whole numbers; but a fraction near a half (a mean of 0.5) makes a tie
    of every pixel, so that one is added.
    """
    multiply = pixels.inputs[0].producer() if pixels.inputs[0] is not None else None
    assert multiply is not None, "rewrites/pixel_input.py writes Mul, then Add"
    slope, offset = _initialized(multiply.inputs[1]), _initialized(pixels.inputs[1])
    step, zero = _initialized(scale), _initialized(zero_point)
    name = str(quantize.name)
    scales = (float(step) / slope.astype(np.float64)).astype(np.float32).ravel()
    zeros = np.clip(np.rint(offset / step) + float(zero), 0, 255).astype(np.uint8).ravel()
    source = multiply.inputs[0]
    rest = offset / step - np.rint(offset / step)
    if (np.abs(rest) > _TIE).any() and source is not None:
        source = insert_node(
            graph,
            multiply,
            "Add",
            [
                source,
                new_initializer(graph, f"{name}.rest", (rest * step / slope).astype(np.float32)),
            ],
            name=f"{name}.whole",
            dtype=source.dtype or ir.DataType.FLOAT,
            metadata=dict(quantize.metadata_props),
        )
    quantize.replace_input_with(0, source)
    quantize.replace_input_with(1, new_initializer(graph, f"{name}.scale", scales))
    quantize.replace_input_with(2, new_initializer(graph, f"{name}.zero_point", zeros))
    quantize.attributes["axis"] = ir.AttrInt64("axis", 1)


def _initialized(value: ir.Value | None) -> Array:
    array = constant(value)
    assert array is not None, "the rewrites and this module make initializers"
    return array


def _quantize_parameters(graph: ir.Graph, node: ir.Node, quantized: QuantizedWeights) -> None:
    if group_of(node) > 1:
        groups, quantized = pack_groups(node, quantized)
        node.attributes["group"] = ir.AttrInt64("group", groups)
    stem = str(node.name)  # not the weight's own name: two layers may share it
    weight = (quantized.weight, quantized.scale, quantized.zero_point)
    weight_dq = _dequantized(graph, node, f"{stem}.weight", weight, channel_axis(node))
    bias = (quantized.bias, quantized.bias_scale, np.zeros(len(quantized.bias), np.int32))
    bias_dq = _dequantized(graph, node, f"{stem}.bias", bias, 0)
    old = node.inputs[1:]
    node.replace_input_with(1, weight_dq)
    if len(node.inputs) < 3:
        node.resize_inputs(3)
    node.replace_input_with(2, bias_dq)
    drop_unused(graph, *old)


def _dequantized(
    graph: ir.Graph, node: ir.Node, name: str, tensors: tuple[Array, Array, Array], axis: int
) -> ir.Value:
    """Put a DQ over constant ``tensors`` (codes, scale, zero point) in front of ``node``."""
    kinds = ("quantized", "scale", "zero_point")
    inputs = [
        new_initializer(graph, f"{name}.{kind}", array)
        for kind, array in zip(kinds, tensors, strict=True)
    ]
    dequantize = _dequantize(name, inputs, node.metadata_props)
    dequantize.attributes["axis"] = ir.AttrInt64("axis", axis)
    graph.insert_before(node, dequantize)
    return dequantize.outputs[0]


def _dequantize(
    stem: str, inputs: Sequence[ir.Value | None], metadata: Mapping[str, str]
) -> ir.Node:
    """Return a DequantizeLinear, and its output, called after ``stem``."""
    node = ir.node(
        "DequantizeLinear", inputs, name=f"{stem}.dequantize", metadata_props=dict(metadata)
    )
    node.outputs[0].name = f"{stem}.dequantized"
    return node
