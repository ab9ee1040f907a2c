"""Equalisation: every channel gets the factor at which rounding makes least noise.

A tensor has one u8 scale, and a channel that fills a tenth of the range has a tenth of the codes.
Factors of channels (:mod:`resnet_deploy.quantization.scale_groups`) cost nothing at run time and
change nothing in fp32. After Nagel et al., "Data-Free Quantization Through Weight Equalization and
Bias Correction" (ICCV 2019, arXiv:1906.04721), who even out what two layers' weights span. Weights
have a scale per output channel here, so it is activations whose channels differ, and most of the
noise of a residual net is that of its stream, whose channels have one factor in all blocks of a
stage. What is best for all tensors at once is found by minimising the predicted noise,

    sum over tensors of (range / 255)^2 / 12 * sum over channels of 1 / f_c^2
    range = max over channels of f_c high_c, plus the same of low_c where there are negative values

and that of the weights behind them, whose steps grow where a factor is small. In the logarithms of
the factors this is a sum of exponentials of maxima of sums: it is convex, so there is one minimum,
and plain gradient steps get there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.graph.channel_factors import STEPS_PER_OCTAVE
from resnet_deploy.progress import Progress, silent
from resnet_deploy.quantization.channel_statistics import ChannelRanges, Observed, channel_ranges
from resnet_deploy.quantization.moments import stride_for_means
from resnet_deploy.quantization.plan import Plan, make_plan
from resnet_deploy.quantization.relu_sums import relu_terms
from resnet_deploy.quantization.rescale import Exponents, rescale
from resnet_deploy.quantization.residual_stream import is_stream
from resnet_deploy.quantization.responses import responses
from resnet_deploy.quantization.rounding import LARGEST_CODE
from resnet_deploy.quantization.scale_groups import Groups, ScaleGroups, by_group, scale_groups
from resnet_deploy.quantization.weights import weight_of

logger = logging.getLogger(__name__)

_FEWEST_IMAGES = 32
"""With two pictures, the outputs of AlexNet correlate by 0.974 instead of 0.9994."""

_FEWEST_VALUES = 1000
"""Per channel: what fewer show of its extremes says little about other images."""

_LARGEST_OCTAVES = 2.0
"""Factors are within 1/4 and 4."""

_STEPS = 300
_FIRST_STEP, _LAST_STEP = 0.1, 0.002
"""Octaves by which a factor changes at once."""

_STEPS_BETWEEN_PEAKS = 10

_MEMORIES = 0.9, 0.99
"""Of Adam: of the gradient, and of its square."""

_CODES = 255
_IMAGE_RANK = 4


@dataclass(frozen=True)
class Equalized:
    """A graph whose channels have factors, and their exponents by tensor; see ``rescale``."""

    model: onnx.ModelProto
    exponents: Mapping[str, Exponents]


def equalize(
    prepared: onnx.ModelProto,
    batches: Iterable[Array],
    *,
    images: int,
    all_images: bool = False,
    threads: int = 0,
    progress: Progress = silent,
) -> Equalized:
    """Return ``prepared`` with the channels of its tensors equalised; in fp32 it computes the same.

    Fewer than 32 images say too little of channels: then nothing is changed.

    Args:
        prepared: the fp32 graph, rewritten for int8.
        batches: preprocessed calibration images, float32 ``(N, C, H, W)``.
        images: how many they are.
        all_images: look at all of them, not at 128 only.
        threads: of the calibration; 0 means the physical cores allowed here.
        progress: called after every batch.

    Raises:
        DatasetError: an activation is NaN or infinite.
    """
    unchanged = Equalized(prepared, {})
    if images < _FEWEST_IMAGES:
        return unchanged
    copy = onnx.ModelProto()
    copy.CopyFrom(prepared)
    model = ir.from_proto(copy)
    plan = make_plan(model)
    looked_at = images if all_images else -(-images // stride_for_means(images))
    groups = _worth_it(model, plan, looked_at)
    tensors = _observed(groups, plan)
    if not tensors:
        return unchanged
    seen = channel_ranges(
        prepared, tensors, batches, images, threads, progress, all_images=all_images
    )
    rounded = _tensors(groups, plan, seen)
    exponents = best_exponents(_moving(groups, rounded), rounded, _readers(groups, plan, seen))
    if not exponents.any():
        return unchanged
    found = rescale(model, groups, exponents)
    logger.info(
        "equalised: %d of %d groups of channels", np.count_nonzero(exponents), len(exponents)
    )
    return Equalized(ir.to_proto(model), found)


def _worth_it(model: ir.Model, plan: Plan, images: int) -> ScaleGroups:
    """Return the groups that rounding matters to and that calibration ``images`` tell enough of."""
    groups = scale_groups(model)
    seen = np.zeros(len(groups.free))
    for value in plan.ranged:
        if value in groups.of:
            np.maximum.at(seen, groups.of[value], images * _pixels(value))
    gated = responses(plan)
    # A float stream has factors of its own wherever int8 meets it.
    stream = [node.outputs[0] for node in model.graph if is_stream(node)]
    fixed = groups.fixed([*stream, *(value for value in plan.ranged if value.name in gated)])
    return ScaleGroups(groups.of, fixed.free & (seen >= _FEWEST_VALUES), groups.layers)


def _moving(groups: ScaleGroups, tensors: Sequence[RoundedTensor]) -> ScaleGroups:
    """Return ``groups`` with those fixed that were always zero: they may not be so elsewhere."""
    moves = np.zeros(len(groups.free))
    for tensor in tensors:
        np.maximum.at(moves, tensor.groups, tensor.importance)
    return ScaleGroups(groups.of, groups.free & (moves > 0), groups.layers)


def _pixels(value: ir.Value) -> int:
    """Return the pixels of an image, those of a small one where the graph does not say; else 1."""
    if value.shape is None or len(value.shape) != _IMAGE_RANK:
        return 1
    height, width = (size if isinstance(size, int) else 7 for size in value.shape.dims[2:])
    return height * width


def _observed(groups: ScaleGroups, plan: Plan) -> list[Observed]:
    """Return what has to be known of which tensors."""
    terms = {term.value: term for term in relu_terms(plan)}
    moving = {value for value, of in groups.of.items() if groups.free[of].any()}
    read = {node.inputs[0] for node in groups.layers if node in plan.nodes} & moving
    ranged = moving.intersection(plan.ranged)
    return [
        Observed.of(value, term=terms.get(str(value.name)), power=value in read)
        for value in groups.of
        if value in ranged or value in read
    ]


@dataclass(frozen=True)
class RoundedTensor:
    """A tensor with a u8 scale: the groups of its channels, and how far these reach; ``(C,)``.

    ``low`` is how far below zero. ``importance`` is the weight of a channel's error.
    """

    groups: Groups
    high: Array
    low: Array
    importance: Array


@dataclass(frozen=True)
class RoundedWeights:
    """The weights that read a tensor: the groups of its channels by group of the convolution.

    ``groups`` and ``power``, the mean square of what is read, are ``(g, I)``; ``largest`` are the
    weights of largest magnitude over the taps, ``(g, O, I)``; ``taps`` is how many they are.
    """

    groups: Groups
    power: Array
    largest: Array
    taps: int


def _tensors(
    groups: ScaleGroups, plan: Plan, seen: Mapping[str, ChannelRanges]
) -> list[RoundedTensor]:
    found = []
    for value in plan.ranged:
        if value in groups.of and value.name in seen:
            ranges = seen[str(value.name)]
            moves = (ranges.high > 0) | (ranges.low < 0)
            found.append(
                RoundedTensor(groups.of[value], ranges.high, -ranges.low, moves.astype(np.float64))
            )
    return found


def _readers(
    groups: ScaleGroups, plan: Plan, seen: Mapping[str, ChannelRanges]
) -> list[RoundedWeights]:
    found = []
    for node in groups.layers:
        read, value = groups.inputs(node), node.inputs[0]
        if read is None or value is None or value.name not in seen or node not in plan.nodes:
            continue
        weight = np.abs(by_group(node, weight_of(node)))
        if weight.shape[2] == 1:
            continue  # of one channel each: factors change nothing
        shape = (len(weight), weight.shape[2])
        power = seen[str(value.name)].power.reshape(shape)
        largest = weight.max(axis=3).astype(np.float64)
        found.append(RoundedWeights(read.reshape(shape), power, largest, weight.shape[3]))
    return found


def best_exponents(
    groups: ScaleGroups, tensors: Sequence[RoundedTensor], readers: Sequence[RoundedWeights]
) -> Exponents:
    """Return the exponents ``(G,)`` of least predicted noise, in steps of ``channel_factors``.

    By Adam (Kingma and Ba, arXiv:1412.6980), with steps that get smaller.
    """
    octaves = np.zeros(len(groups.free))
    mean, square = np.zeros_like(octaves), np.zeros_like(octaves)
    peaks: list[Groups] = []
    for step in range(_STEPS):
        if step % _STEPS_BETWEEN_PEAKS == 0:
            peaks = largest_weights(octaves, readers)
        _, slope = predicted_noise(octaves, tensors, readers, peaks)
        slope[~groups.free] = 0
        mean += (1 - _MEMORIES[0]) * (slope - mean)
        square += (1 - _MEMORIES[1]) * (slope**2 - square)
        m, s = (x / (1 - b ** (step + 1)) for x, b in zip((mean, square), _MEMORIES, strict=True))
        size = _FIRST_STEP * (_LAST_STEP / _FIRST_STEP) ** (step / _STEPS)
        octaves -= size * m / (np.sqrt(s) + 1e-12 * np.abs(slope).max())
        np.clip(octaves, -_LARGEST_OCTAVES, _LARGEST_OCTAVES, out=octaves)
    return np.rint(octaves * STEPS_PER_OCTAVE).astype(np.int64)


def largest_weights(octaves: Array, readers: Sequence[RoundedWeights]) -> list[Groups]:
    """Return by reader which input sets the step of each output, ``(g, O)``."""
    f = np.exp2(octaves)
    return [(reader.largest / f[reader.groups][:, None, :]).argmax(axis=2) for reader in readers]


def predicted_noise(
    octaves: Array,
    tensors: Sequence[RoundedTensor],
    readers: Sequence[RoundedWeights],
    peaks: Sequence[Groups],
) -> tuple[float, Array]:
    """Return the noise at factors ``2^octaves``, ``(G,)``, and its slope by the octaves.

    Of an activation: ``step^2 / 12`` over ``f^2``. Of a weight: the same, times the power of what
    it is multiplied with; each as it counts in the source's units. ``peaks`` are those of
    :func:`largest_weights`, here or nearby: they take nearly all the time, and hardly change.
    """
    f = np.exp2(octaves)
    total, slope = 0.0, np.zeros_like(octaves)
    for tensor in tensors:
        own = f[tensor.groups]
        high, low = own * tensor.high, own * tensor.low
        top, bottom = int(high.argmax()), int(low.argmax())
        reach = high[top] + low[bottom]
        shares = tensor.importance / own**2
        unit = 1 / (_CODES**2 * 12)
        total += unit * reach**2 * shares.sum()
        np.add.at(slope, tensor.groups, -2 * unit * reach**2 * shares)
        slope[tensor.groups[top]] += 2 * unit * reach * shares.sum() * high[top]
        slope[tensor.groups[bottom]] += 2 * unit * reach * shares.sum() * low[bottom]
    unit = 1 / (LARGEST_CODE**2 * 12)
    for reader, peak in zip(readers, peaks, strict=True):
        where = np.take_along_axis(reader.groups, peak, axis=1)
        largest = np.take_along_axis(reader.largest, peak[:, :, None], axis=2)[:, :, 0]
        steps = np.square(largest / f[where])
        powers = reader.power * f[reader.groups] ** 2 * reader.taps
        sums = powers.sum(axis=1, keepdims=True)
        total += unit * float((steps * sums).sum())
        np.add.at(slope, reader.groups, 2 * unit * steps.sum(axis=1, keepdims=True) * powers)
        np.add.at(slope, where, -2 * unit * steps * sums)
    return total, slope * np.log(2)
