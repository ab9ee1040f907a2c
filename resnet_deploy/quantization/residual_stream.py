"""The residual stream in float: which operators that are, and what the int8 layers read of it.

Every block adds to the stream and the next one reads it, so what a u8 sum rounds stays in it to the
end. In float only the convolutions' own inputs and outputs are rounded, each with 256 levels per
*channel*: next to float operators a factor per channel costs one multiplication. A layer that
reads the stream reads ``f_c x_c``, and its weights take the factor out. A layer whose u8 result is
added to the stream has ``f_c`` in its weights and bias, and a Mul behind it takes it out. The
factors make all channels span the same, so one u8 scale fits them all.

Two tensors get even more levels, see :mod:`resnet_deploy.quantization.border_factors`.

In ONNX Runtime these are Mul operators, because its QuantizeLinear with a scale per channel is 80
times as slow as with one scale where the channels come last. OpenVINO merges them into its own
quantization per channel.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.errors import SpecError
from resnet_deploy.graph.constants import constant
from resnet_deploy.graph.layers import (
    FLOAT_KEY,
    STREAM,
    UNSCALED_KEY,
    WRITES_FLOAT_KEY,
    absorbed_output,
)
from resnet_deploy.passes.zero_pad_shortcut import COPIES_KEY
from resnet_deploy.progress import Progress, silent
from resnet_deploy.quantization.border_factors import (
    finer,
    halves,
    multiply,
    scale,
    takes_two_parts,
)
from resnet_deploy.quantization.channel_statistics import (
    ChannelRanges,
    Observed,
    channel_ranges,
)
from resnet_deploy.quantization.fused_sums import fused_sums, halve
from resnet_deploy.quantization.plan import WEIGHTED, Plan, make_plan
from resnet_deploy.quantization.scale_groups import with_inputs_times, with_outputs_times

_THROUGH = frozenset(
    {"Relu", "Clip", "LeakyRelu", "PRelu", "Slice", "Pad", "GlobalAveragePool", "Flatten"}
)
"""Operators that stay float behind a float tensor: no int8 layer is gained by rounding for them."""

_LARGEST_FACTOR = 64.0
"""What calibration shows of a channel that hardly moves says little about other images."""

_READ_EXPONENT = 0.6
"""What factors are raised to where weights take them out.

A layer's weights have a scale per output channel, so that columns which differ more have larger
steps, and more pairs of them could overflow in int16. On ResNet-20, 0.5 gives 0.3 dB more than 1.
Where weights take factors in they cost nothing.
"""

_IMAGE_RANK = 4


def mark_stream(model: ir.Model) -> None:
    """Mark the sums of a residual stream, and what computes on them alone, as float; in place.

    Raises:
        SpecError: there is no sum of two images: nothing to keep in float.
    """
    stream: set[ir.Value] = set()
    for node in model.graph:
        if _is_sum(node):
            absorbed = absorbed_output(node).producer()
            assert absorbed is not None, "it is the output of a node"
            parts = [node] if absorbed is node else [node, absorbed]
        elif node.op_type in _THROUGH and _reads_only(node, stream):
            parts = [node]
        else:
            continue
        for part in parts:
            part.metadata_props[FLOAT_KEY] = STREAM
            stream.update(part.outputs)
    if not stream:
        raise SpecError(
            "--residual-stream float32: the net has no residual sums, so there is nothing to keep "
            "in float; leave it out"
        )


def mark_float_writers(model: ir.Model) -> None:
    """Mark the convolutions whose result only the stream and other layers read; in place.

    OpenVINO's int8 convolutions write float, so what is added to the stream needs no rounding.
    """
    for node in model.graph:
        if node.op_type != "Conv" or FLOAT_KEY in node.metadata_props or not _has_own_factors(node):
            continue
        output = absorbed_output(node)
        readers = [use.node for use in output.uses()]
        if any(map(is_stream, readers)) and all(
            is_stream(reader) or _has_own_factors(reader) for reader in readers
        ):
            node.metadata_props[WRITES_FLOAT_KEY] = STREAM


def is_stream(node: ir.Node) -> bool:
    """Whether ``node`` is one of those that :func:`mark_stream` marked."""
    return node.metadata_props.get(FLOAT_KEY) == STREAM


def _is_sum(node: ir.Node) -> bool:
    """Whether ``node`` adds two images that are both computed."""
    if node.op_type != "Add" or FLOAT_KEY in node.metadata_props:
        return False
    shapes = [value.shape for value in node.inputs if value is not None]
    return (
        len(shapes) == 2
        and all(shape is not None and len(shape) == _IMAGE_RANK for shape in shapes)
        and all(constant(value) is None for value in node.inputs)
        and shapes[0] == shapes[1]
        and shapes[0] is not None
        and shapes[0][2:] != ir.Shape([1, 1])[:]
    )


def _reads_only(node: ir.Node, values: set[ir.Value]) -> bool:
    """Whether all that ``node`` computes from is among ``values``."""
    return all(value in values or constant(value) is not None for value in node.inputs if value)


@dataclass
class _Border:
    """A tensor where float and int8 meet: the layers whose weights take up its factors.

    ``writer`` is the int8 layer whose result it is, or None where float operators compute it;
    ``behind`` are the float operators that read a writer's result. ``in_two_parts``: its readers
    get it in more than 256 levels, where that costs little for what it brings. So it is with the
    vector that the classifier reads, and with the first tensor of the stream where no pool makes
    it, as in nets for small pictures: its noise goes through all of the net.
    """

    value: ir.Value
    writer: ir.Node | None = None
    readers: list[ir.Node] = field(default_factory=list)
    behind: list[ir.Node] = field(default_factory=list)
    in_two_parts: bool = False


def _borders(model: ir.Model, plan: Plan) -> list[_Border]:
    found = []
    for node in model.graph:
        if is_stream(node):
            border = _read_border(node.outputs[0], plan)
        elif node in plan.nodes and _has_own_factors(node):
            written = plan.outputs[node]
            reads = written in plan.floats
            border = _read_border(written, plan) if reads else _written_border(node, plan)
        else:
            continue
        if border is not None:
            found.append(border)
    return found


def _read_border(value: ir.Value, plan: Plan) -> _Border | None:
    """Return the border at ``value``, float, if int8 layers alone read it besides the stream."""
    readers = _int8_readers(value, plan)
    if not readers or not all(map(_has_own_factors, readers)):
        return None
    shape = value.shape
    few = value in plan.floats or (shape is not None and len(shape) < _IMAGE_RANK)
    return _Border(value, readers=readers, in_two_parts=few and all(map(takes_two_parts, readers)))


def _written_border(writer: ir.Node, plan: Plan) -> _Border | None:
    """Return the border behind ``writer``, if its result is rounded and the stream takes it."""
    value = plan.outputs[writer]
    if plan.tensors.get(value) is not value or value.is_graph_output():
        return None
    own = value.producer()
    if own is not None and own.op_type not in (writer.op_type, "Relu"):
        return None  # a ReLU6 ends all channels at 6
    while [use.node.op_type for use in value.uses()] == ["MaxPool"]:  # factors pass through it
        value = next(iter(value.uses())).node.outputs[0]
    readers = _int8_readers(value, plan)
    behind = [node for node in _unique(use.node for use in value.uses()) if node not in readers]
    if not behind or not all(map(is_stream, behind)) or not all(map(_has_own_factors, readers)):
        return None
    first = value is plan.outputs[writer] and own is not None and own.op_type == "Relu"
    two = first and bool(readers) and all(map(takes_two_parts, (writer, *readers)))
    return _Border(value, writer, readers, behind, in_two_parts=two)


def _int8_readers(value: ir.Value, plan: Plan) -> list[ir.Node]:
    return _unique(use.node for use in value.uses() if use.node in plan.nodes)


def _unique(nodes: Iterable[ir.Node]) -> list[ir.Node]:
    return list(dict.fromkeys(nodes))


def _has_own_factors(node: ir.Node) -> bool:
    """Whether the weights of ``node`` can take up factors of channels."""
    return node.op_type in WEIGHTED and COPIES_KEY not in node.metadata_props


def with_channel_factors(
    prepared: onnx.ModelProto,
    batches: Iterable[Array],
    *,
    images: int,
    threads: int = 0,
    progress: Progress = silent,
) -> onnx.ModelProto:
    """Return ``prepared`` with factors of channels at all borders; in fp32 it computes the same.

    Sums that OpenVINO can compute in a convolution are made ready for that.

    Args:
        prepared: the fp32 graph, rewritten for int8, its stream marked.
        batches: preprocessed calibration images, float32 ``(N, C, H, W)``.
        images: how many they are.
        threads: of the calibration; 0 means the physical cores allowed here.
        progress: called after every batch.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(prepared)
    model = ir.from_proto(copy)
    plan = make_plan(model)
    found = _borders(model, plan)
    rounded = {border.value for border in found if border.writer is not None}
    sums = list(fused_sums(model.graph, plan, rounded))
    values = [border.value for border in found] + [part.value for part in sums]
    tensors = {value: Observed.of(value) for value in values}
    if not tensors:
        return prepared
    seen = channel_ranges(prepared, list(tensors.values()), batches, images, threads, progress)
    for border in found:
        _give_factors(model.graph, border, seen[str(border.value.name)])
    for part in sums:
        halve(model.graph, part, seen[str(part.value.name)])
    return ir.to_proto(model)


def _give_factors(graph: ir.Graph, border: _Border, ranges: ChannelRanges) -> None:
    factors = _factors(ranges) ** (_READ_EXPONENT if border.readers else 1.0)
    highs = float(max(ranges.high.max(), -ranges.low.min())) / factors
    if border.in_two_parts and ranges.low.min() >= 0 and ranges.high.max() > 0:
        if border.writer is None:
            finer(graph, border.value, border.readers, highs)
        else:
            border.writer.metadata_props[UNSCALED_KEY] = halves(
                graph, border.writer, border.value, border.readers, border.behind, highs
            )
        return
    for node in border.readers:
        scale(graph, node, with_inputs_times, 1 / factors)
    if border.writer is None:
        multiply(graph, border.value, border.readers, factors)
        return
    scale(graph, border.writer, with_outputs_times, factors, bias=True)
    pooled = border.value is not absorbed_output(border.writer)
    unscaled = multiply(graph, border.value, border.behind, 1 / factors)
    border.writer.metadata_props[UNSCALED_KEY] = "" if pooled else unscaled
    pool = border.value.producer()
    if pooled and pool is not None:
        pool.metadata_props[UNSCALED_KEY] = unscaled


def _factors(ranges: ChannelRanges) -> Array:
    """Return the factors ``(C,)`` at which all channels span the same; 1 for the widest one."""
    peaks = np.maximum(ranges.high, -ranges.low).astype(np.float64)
    widest = peaks.max(initial=0.0)
    if widest <= 0:
        return np.ones(len(peaks))
    return np.asarray(widest / np.maximum(peaks, widest / _LARGEST_FACTOR))
