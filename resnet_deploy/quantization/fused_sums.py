"""Sums of a float stream that OpenVINO computes in the convolution in front of them.

An operator of its own for a sum reads two float tensors and writes one: in ResNet-50 more memory
than all int8 tensors together. An int8 convolution can add the stream as it writes its result
(oneDNN's post-operation ``sum``). OpenVINO lets it do so only where a FakeQuantize is in between
(``isSuitableParentForFusingSumActivation`` in ``snippets_mark_skipped.cpp``): without, the scales
that int8 puts in front of the bias hide the convolution from the sum. So there is one, with 65536
codes and room to spare, which changes nothing that counts.

A Q and DQ of 16 bits with one scale would be taken out again (``FQStrippingTransformation`` in
``qdq_stripping.cpp``). So the convolution gives half of its result, and DQ doubles it. In the
prepared fp32 graph a Mul by two stands there.

The sum is written over the stream, so all else that reads the stream has to come before it, as in
every residual block. Where the stream is a u8 result in float, as behind a stem with a pool, it
would have to be written in float first, and nothing would be gained.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from resnet_deploy.graph.constants import new_initializer
from resnet_deploy.graph.layers import FLOAT_KEY, STREAM, UNSCALED_KEY, WRITES_FLOAT_KEY
from resnet_deploy.graph.module_names import module_metadata
from resnet_deploy.quantization.border_factors import Chain, replace_reads, scale
from resnet_deploy.quantization.channel_statistics import ChannelRanges
from resnet_deploy.quantization.plan import Plan
from resnet_deploy.quantization.scale_groups import with_outputs_times

OPSET = 21
"""The first one with a QuantizeLinear of 16 bits."""

STEP_KEY = "resnet_deploy.step"
"""Marks a Mul by two that stands for a pair of 16 bits; says what one code is in front of it."""

_ROOM = 4.0
"""How far the codes reach beyond what calibration shows: there are 13 bits left within."""

_LARGEST_CODE = np.iinfo(np.int16).max


@dataclass(frozen=True)
class FusedSum:
    """A sum ``add`` that ``writer``, an int8 convolution, can compute: it adds ``value`` itself."""

    writer: ir.Node
    value: ir.Value
    add: ir.Node


def fused_sums(graph: ir.Graph, plan: Plan, rounded: set[ir.Value]) -> Iterator[FusedSum]:
    """Yield the sums that convolutions in front of them can compute; ``rounded`` values are u8."""
    writers = {plan.outputs[node]: node for node in plan.nodes if _writes_float(node)}
    for node in graph:
        if node.op_type != "Add" or node.metadata_props.get(FLOAT_KEY) != STREAM:
            continue
        for value, other in (node.inputs, reversed(node.inputs)):
            if value in writers and len(value.uses()) == 1 and other not in rounded:
                yield FusedSum(writers[value], value, node)
                break


def _writes_float(node: ir.Node) -> bool:
    return WRITES_FLOAT_KEY in node.metadata_props


def halve(graph: ir.Graph, found: FusedSum, ranges: ChannelRanges) -> None:
    """Let the convolution of ``found`` give the half, and a marked Mul the whole, in place.

    ``ranges`` are those of its value on the calibration images.
    """
    largest = float(max(ranges.high.max(), -ranges.low.min()))
    if largest <= 0:
        return
    scale(graph, found.writer, with_outputs_times, np.full(len(ranges.high), 0.5), bias=True)
    chain = Chain(graph, found.value)
    two = chain.constant("two", np.array(2, np.float32))
    whole = chain.add("Mul", [found.value, two], "whole")
    doubling = whole.producer()
    assert doubling is not None, "it was just inserted"
    doubling.metadata_props[STEP_KEY] = str(np.float32(_ROOM * largest / 2 / _LARGEST_CODE))
    replace_reads([found.add], found.value, whole)
    found.writer.metadata_props[UNSCALED_KEY] = str(whole.name)


def write_pairs(graph: ir.Graph) -> None:
    """Replace every marked Mul with a pair of 16 bits that doubles, in place."""
    for node in list(graph):
        if STEP_KEY not in node.metadata_props:
            continue
        value, whole = node.inputs[0], node.outputs[0]
        assert value is not None, "what is doubled"
        step = np.float32(node.metadata_props[STEP_KEY])
        zero = new_initializer(graph, f"{whole.name}.zero_point", np.array(0, np.int16))
        steps = [
            new_initializer(graph, f"{whole.name}.{name}", np.array(factor * step, np.float32))
            for name, factor in (("half_scale", 1), ("scale", 2))
        ]
        metadata = module_metadata(node)
        quantize = ir.node(
            "QuantizeLinear",
            [value, steps[0], zero],
            name=f"{whole.name}.quantize",
            metadata_props=metadata,
        )
        quantize.outputs[0].name = f"{whole.name}.quantized"
        dequantize = ir.node(
            "DequantizeLinear",
            [quantize.outputs[0], steps[1], zero],
            name=f"{whole.name}.dequantize",
            metadata_props=metadata,
        )
        output = dequantize.outputs[0]
        output.type, output.shape = whole.type, whole.shape
        graph.insert_after(node, [quantize, dequantize])
        replace_reads([use.node for use in list(whole.uses())], whole, output)
        graph.remove(node, safe=True)
        output.name = whole.name
