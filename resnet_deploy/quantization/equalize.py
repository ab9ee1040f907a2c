"""Cross-layer equalisation: channels of one tensor take equal shares of its range.

A tensor has one u8 scale, and a channel that fills a tenth of the range has a tenth of the codes.
Where factors of channels can be moved into the weights on both sides
(:mod:`resnet_deploy.quantization.scale_groups`), they cost nothing at run time and change nothing
in fp32. After Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
Correction" (ICCV 2019, arXiv:1906.04721), who equalise what two layers' weights span; weights have
a scale per output channel here, so it is activations whose channels differ.

Factors have a price: the readers' weights span more, and get larger steps. So a group's factors are
the shares of its channels to the power of a negative exponent, and the exponent is the one that
predicts the least noise behind the readers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import onnx
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.graph.constants import constant, optional_input, set_parameters
from resnet_deploy.progress import Progress, silent
from resnet_deploy.quantization.moments import stride_for_means, traced
from resnet_deploy.quantization.plan import Plan, make_plan
from resnet_deploy.quantization.rounding import LARGEST_CODE
from resnet_deploy.quantization.scale_groups import (
    ScaleGroup,
    by_group,
    is_depthwise,
    scale_groups,
    with_inputs_times,
    with_outputs_times,
)
from resnet_deploy.quantization.weights import weight_of

logger = logging.getLogger(__name__)

_EXPONENTS = np.linspace(0.0, 1.0, 9)

_LARGEST_FACTOR = 8.0
"""What calibration shows of a channel that hardly moves says little about other images."""

_HEADROOM = 2.0
"""A channel is scaled to half of the range at most: on other images some go further than on these.

On EfficientNet-Lite0, with 32 photos, channels that all end where the range does lose 0.1 to 0.4 dB
on other photos, though they gain 2 dB on these.
"""

_CODES = 255


@dataclass
class ChannelRanges:
    """What calibration images show of the channels of one tensor: arrays ``(C,)``.

    ``low`` and ``high`` are the extremes, ``power`` is the mean square.
    """

    low: Array
    high: Array
    power: Array

    @classmethod
    def of(cls, x: Array) -> ChannelRanges:
        """Return those of ``x`` ``(N, C, ...)``."""
        rows = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)
        power = np.square(rows, dtype=np.float64).mean(axis=1)
        return cls(np.minimum(rows.min(axis=1), 0), np.maximum(rows.max(axis=1), 0), power)

    def joined(self, other: ChannelRanges, share: float) -> ChannelRanges:
        """Return both as one; ``share`` of all images are those of ``other``."""
        return ChannelRanges(
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            self.power + share * (other.power - self.power),
        )


def equalize(
    prepared: onnx.ModelProto,
    batches: Iterable[Array],
    *,
    images: int,
    threads: int = 0,
    progress: Progress = silent,
) -> onnx.ModelProto:
    """Return ``prepared`` with the channels of its tensors equalised; in fp32 it computes the same.

    Args:
        prepared: the fp32 graph, rewritten for int8.
        batches: preprocessed calibration images, float32 ``(N, C, H, W)``.
        images: how many they are.
        threads: of the calibration; 0 means the physical cores allowed here.
        progress: called after every batch.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(prepared)
    model = ir.from_proto(copy)
    plan = make_plan(model)
    # A group with a tensor that nothing rounds is of layers that stay in float.
    groups = [group for group in scale_groups(model) if _rounded(group, plan)]
    if not groups:
        return prepared
    names = [str(value.name) for group in groups for value in _rounded(group, plan)]
    names += [_input_name(node) for group in groups for node in group.readers]
    seen = channel_ranges(prepared, list(dict.fromkeys(names)), batches, images, threads, progress)
    count = 0
    for group in groups:
        rounded = [seen[str(value.name)] for value in _rounded(group, plan)]
        powers = [seen[_input_name(node)].power for node in group.readers]
        factors = best_factors(group, rounded, powers)
        if factors is not None:
            rescale(model.graph, group, factors)
            count += 1
    logger.info("equalised: channels of %d groups of tensors", count)
    return ir.to_proto(model)


def is_worth_it(prepared: onnx.ModelProto) -> bool:
    """Whether :func:`equalize` is for this net: it has depthwise convolutions.

    Each of their output channels has the range that one input channel gives it, and nothing evens
    them out. Residual nets of full convolutions gain 0.3 dB at best.
    """
    return any(is_depthwise(node) for node in ir.from_proto(prepared).graph)


def channel_ranges(
    model: onnx.ModelProto,
    tensors: Sequence[str],
    batches: Iterable[Array],
    images: int,
    threads: int,
    progress: Progress,
) -> dict[str, ChannelRanges]:
    """Return what up to 128 of the ``images`` show of the channels of ``tensors``."""
    found: dict[str, ChannelRanges] = {}
    stride = stride_for_means(images)
    images = -(-images // stride)
    done = 0
    for count, values in traced(model, tensors, islice(batches, 0, None, stride), threads):
        done += count
        for name in tensors:
            ranges = ChannelRanges.of(values[name])
            known = found.get(name)
            found[name] = ranges if known is None else known.joined(ranges, count / done)
        progress("looking at channels", min(done, images), images)
    return found


def _rounded(group: ScaleGroup, plan: Plan) -> list[ir.Value]:
    """Return the tensors of ``group`` that get a u8 scale of their own."""
    return [value for value in group.tensors if plan.tensors.get(value) is value]


def _input_name(node: ir.Node) -> str:
    source = node.inputs[0]
    assert source is not None, "a layer reads something"
    return str(source.name)


def best_factors(
    group: ScaleGroup, rounded: Sequence[ChannelRanges], powers: Sequence[Array]
) -> Array | None:
    """Return the factors ``(C,)`` of least predicted noise; None where all are 1.

    ``rounded`` are the group's tensors that get a scale, ``powers`` the mean squares by channel of
    what its readers read, in their order.
    """
    wanted = 1 / _shares(rounded)
    candidates = [wanted**exponent for exponent in _EXPONENTS]
    noise = [predicted_noise(group, rounded, powers, factors) for factors in candidates]
    best = candidates[int(np.argmin(noise))]
    return best if best.max() > 1 else None


def _shares(rounded: Sequence[ChannelRanges]) -> Array:
    """Return by how much each channel falls short of half the range, at most ``_LARGEST_FACTOR``.

    That is in the tensor where it fills most. A channel that never moved says nothing of what it
    fills: it counts as full.
    """
    peaks = [np.maximum(ranges.high, -ranges.low) for ranges in rounded]
    share = np.max([peak / max(peak.max(), np.finfo(np.float32).tiny) for peak in peaks], axis=0)
    short = np.clip(share * _HEADROOM, 1 / _LARGEST_FACTOR, 1.0)
    return np.where(share > 0, short, 1.0)


def predicted_noise(
    group: ScaleGroup,
    rounded: Sequence[ChannelRanges],
    powers: Sequence[Array],
    factors: Array,
) -> float:
    """Return the noise that rounding leaves behind the group's readers, over their signal.

    Of activations: the variance of an even error over one step, ``step^2 / 12``, through the
    weights. Each tensor counts for each reader, because what is added to a stream stays there. Of
    weights: the same of their steps, through the power of the input. Arguments as of
    :func:`best_factors`.
    """
    steps = sum(
        float((ranges.high * factors).max() - (ranges.low * factors).min()) ** 2
        for ranges in rounded
    ) / (_CODES**2 * 12)
    total = 0.0
    for node, read in zip(group.readers, powers, strict=True):
        weight = by_group(node, weight_of(node).astype(np.float64))  # (groups, outputs, inputs, K)
        shaped, power = (x.reshape(len(weight), 1, -1, 1) for x in (factors, read))
        scaled = weight / shaped
        weight_steps = (np.abs(scaled).max(axis=(2, 3)) / LARGEST_CODE) ** 2 / 12
        inputs = (power * shaped**2).sum(axis=(2, 3)) * weight.shape[3]
        noise = steps * np.square(scaled).sum() + (weight_steps * inputs).sum()
        total += float(noise / max((np.square(weight) * power).sum(), np.finfo(np.float64).tiny))
    return total


def rescale(graph: ir.Graph, group: ScaleGroup, factors: Array) -> None:
    """Multiply the channels of the group's tensors by ``factors`` ``(C,)``, all positive."""
    for node in group.writers:
        weight = with_outputs_times(node, weight_of(node).astype(np.float64), factors)
        set_parameters(graph, node, str(node.name), weight, _bias(node) * factors)
    for node in group.readers:
        weight = with_inputs_times(node, weight_of(node).astype(np.float64), 1 / factors)
        set_parameters(graph, node, str(node.name), weight, _bias(node))


def _bias(node: ir.Node) -> Array:
    bias = constant(optional_input(node, 2))
    assert bias is not None, "every layer has a bias of its own by now"
    return bias.astype(np.float64)
