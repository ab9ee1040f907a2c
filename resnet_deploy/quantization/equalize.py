"""Equalisation: every channel gets the factor at which rounding makes least noise.

A tensor has one u8 scale, and a channel that fills a tenth of the range has a tenth of the codes.
Factors of channels (:mod:`resnet_deploy.quantization.scale_groups`) cost nothing at run time and
change nothing in fp32. After Nagel et al., "Data-Free Quantization Through Weight Equalization and
Bias Correction" (ICCV 2019, arXiv:1906.04721), who even out what two layers' weights span. Weights
have a scale per output channel here, so it is activations whose channels differ, and most of the
noise of a residual net is that of its stream, whose channels have one factor in all blocks of a
stage. What is best for all tensors at once is that of least predicted noise
(:mod:`resnet_deploy.quantization.least_noise`).

Noise of early tensors is amplified on its way to the outputs. How much is measured where time
allows (:mod:`resnet_deploy.quantization.noise_gains`), and each tensor counts by the square root of
it. Counted in full, the few tensors that are amplified most would decide about all factors, from
the extremes that a few images show; on the logits of ResNet-20 and -32, the root is 0.1 dB better.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.graph.layers import absorbed_output
from resnet_deploy.progress import Progress, silent
from resnet_deploy.quantization.channel_statistics import ChannelRanges, Observed, channel_ranges
from resnet_deploy.quantization.least_noise import RoundedTensor, RoundedWeights, best_exponents
from resnet_deploy.quantization.moments import stride_for_means
from resnet_deploy.quantization.noise_gains import noise_at_outputs
from resnet_deploy.quantization.plan import Plan, make_plan
from resnet_deploy.quantization.relu_sums import relu_terms
from resnet_deploy.quantization.rescale import Exponents, rescale
from resnet_deploy.quantization.residual_stream import is_stream
from resnet_deploy.quantization.responses import responses
from resnet_deploy.quantization.scale_groups import ScaleGroups, by_group, scale_groups
from resnet_deploy.quantization.weights import weight_of

logger = logging.getLogger(__name__)

_FEWEST_IMAGES = 32
"""With two pictures, the outputs of AlexNet correlate by 0.974 instead of 0.9994."""

_FEWEST_VALUES = 1000
"""Per channel: what fewer show of its extremes says little about other images."""

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
    thorough: bool = False,
    threads: int = 0,
    progress: Progress = silent,
) -> Equalized:
    """Return ``prepared`` with the channels of its tensors equalised; in fp32 it computes the same.

    Fewer than 32 images say too little of channels: then nothing is changed.

    Args:
        prepared: the fp32 graph, rewritten for int8.
        batches: preprocessed calibration images, float32 ``(N, C, H, W)``.
        images: how many they are.
        thorough: look at all of them, not at 128 only, and weigh each tensor by how much of its
            noise reaches the outputs.
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
    looked_at = images if thorough else -(-images // stride_for_means(images))
    groups = _worth_it(model, plan, looked_at)
    tensors = _observed(groups, plan)
    if not tensors:
        return unchanged
    seen = channel_ranges(
        prepared, tensors, batches, images, threads, progress, all_images=thorough
    )
    rounded, readers = _tensors(groups, plan, seen), _readers(groups, plan, seen)
    moving = _moving(groups, rounded.values())
    if thorough:
        gains = _gains(prepared, rounded, batches, images, threads, progress)
        rounded, readers = _weighed(rounded, readers, gains)
    exponents = best_exponents(moving, list(rounded.values()), list(readers.values()))
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


def _moving(groups: ScaleGroups, tensors: Iterable[RoundedTensor]) -> ScaleGroups:
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


def _tensors(
    groups: ScaleGroups, plan: Plan, seen: Mapping[str, ChannelRanges]
) -> dict[str, RoundedTensor]:
    found = {}
    for value in plan.ranged:
        if value in groups.of and value.name in seen:
            ranges = seen[str(value.name)]
            moves = (ranges.high > 0) | (ranges.low < 0)
            found[str(value.name)] = RoundedTensor(
                groups.of[value], ranges.high, -ranges.low, moves.astype(np.float64)
            )
    return found


def _readers(
    groups: ScaleGroups, plan: Plan, seen: Mapping[str, ChannelRanges]
) -> dict[ir.Node, RoundedWeights]:
    found = {}
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
        found[node] = RoundedWeights(read.reshape(shape), power, largest, weight.shape[3])
    return found


def _gains(
    prepared: onnx.ModelProto,
    tensors: Mapping[str, RoundedTensor],
    batches: Iterable[Array],
    images: int,
    threads: int,
    progress: Progress,
) -> dict[str, float]:
    """Return, by name, the noise at the outputs for each unit of predicted noise of a tensor."""
    steps = {name: tensor.step for name, tensor in tensors.items() if tensor.step > 0}
    noise, signal = noise_at_outputs(prepared, steps, batches, images, threads, progress)
    gains = {name: noise[name] / tensors[name].noise for name in steps}
    return gains | {name: 1 / power for name, power in signal.items() if power > 0}


def _weighed(
    tensors: Mapping[str, RoundedTensor],
    readers: Mapping[ir.Node, RoundedWeights],
    gains: Mapping[str, float],
) -> tuple[dict[str, RoundedTensor], dict[ir.Node, RoundedWeights]]:
    """Return both with their noise times the root of the gain of the tensor that it is in.

    That of weights is in what the layer writes, if its gain is known, or else like that of what it
    reads.
    """
    roots = {name: gain**0.5 for name, gain in gains.items()}
    weighed = {
        name: replace(tensor, importance=tensor.importance * roots.get(name, 0.0))
        for name, tensor in tensors.items()
    }
    behind = {}
    for node, weights in readers.items():
        names = (absorbed_output(node).name, node.inputs[0].name if node.inputs[0] else None)
        root = next((roots[str(name)] for name in names if name in roots), 0.0)
        behind[node] = replace(weights, power=weights.power * root)
    return weighed, behind
