"""Weights in s8 per output channel, and biases in int32 at the scale of the product.

A little long: from the weights of one layer to those of a net, read in one piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from resnet_deploy.arrays import Array
from resnet_deploy.graph.constants import constant
from resnet_deploy.passes.zero_pad_shortcut import COPIES_KEY
from resnet_deploy.processes.in_order import in_order
from resnet_deploy.progress import Progress, silent
from resnet_deploy.quantization.exchange import Exchange
from resnet_deploy.quantization.kernels import group_of, pair_limits, weight_zero_point
from resnet_deploy.quantization.limited import keep_within
from resnet_deploy.quantization.moments import LayerInput, Moments
from resnet_deploy.quantization.plan import WEIGHTED, Plan, activation_inputs
from resnet_deploy.quantization.ranges import QuantizationParameters
from resnet_deploy.quantization.rounding import (
    LARGEST_CODE,
    Compensation,
    Nearest,
    PairLimits,
    Rounder,
    nearest_codes,
    usable,
)
from resnet_deploy.spec import TargetIsa

_INT32_MAX = 2**31 - 1

_SHARES = np.linspace(1.0, 0.7, 31)
"""How much of its largest weight a channel's codes may cover."""

_SMALL_DEPTH, _SMALL_WEIGHTS = 600, 40_000
"""Weights per channel and in all of layers that are rounded with more care: those of nets for small
pictures, where errors of weights count most, and where it takes a second per layer.
"""

_CACHED_VALUES = 32768
"""Weights in float32 that stay in a core's cache with two arrays of the same size."""


@dataclass(frozen=True)
class QuantizedWeights:
    """``weight`` s8 of the float weight's shape, ``scale`` float32 (channels,), ``bias`` int32.

    ``zero_point`` is the s8 code of 0.0, the same for all channels.
    """

    weight: NDArray[np.int8]
    scale: NDArray[np.float32]
    zero_point: NDArray[np.int8]
    bias: NDArray[np.int32]
    bias_scale: NDArray[np.float32]


def quantize_weights(
    weight: Array,
    bias: Array,
    input_scale: np.float32,
    *,
    axis: int = 0,
    zero_point: int = 0,
    limits: PairLimits | None = None,
    any_order: bool = False,
    moments: Moments | None = None,
    thorough: bool = False,
) -> QuantizedWeights:
    """Quantize the weights and the bias of a convolution or linear layer.

    Args:
        weight: float, output channels along ``axis``.
        bias: float (channels,).
        input_scale: scale of the u8 input.
        axis: 0 for Conv and Gemm with transB, 1 for Gemm without.
        zero_point: 0 or -1, the code of 0.0; see :mod:`resnet_deploy.quantization.kernels`.
        limits: of pairs of weights, which no codes exceed; see
            :func:`~resnet_deploy.quantization.kernels.pair_limits`. Channels that keep to them
            anyway are as they would be without.
        any_order: the limits hold for any two weights of a channel, because the layouts of its
            memory pair different ones. Without moments only.
        moments: of the layer's input. With them the scale of a channel is that of least error, the
            bias takes up what quantization does to the mean, and with covariances weights are
            rounded together. Without, each weight is rounded alone at the smallest scale at which
            nothing is clipped: max|w| / 127, or what the limits ask for.
        thorough: weights of a small layer that the limits hold back are rounded with more care.

    In channels of almost zero weight the scale is raised until the bias fits into int32 together
    with the largest sum that the products can reach. The bias scale is exactly the float32 product
    of both scales: ONNX Runtime checks it, and runs the layer in float if it is off.
    """
    moved = np.moveaxis(np.asarray(weight, np.float64), axis, 0)
    w = moved.reshape(len(moved), -1)
    room = max(_INT32_MAX - 255 * 128 * w.shape[1], _INT32_MAX // 2)
    smallest = np.abs(bias.astype(np.float64)) / (float(input_scale) * room)
    if moments is None:
        scale = usable(np.maximum(_unclipped(w, limits, any_order=any_order), smallest))
        codes = nearest_codes(w / scale.astype(np.float64)[:, None])
    else:
        small = w.shape[1] <= _SMALL_DEPTH and w.size <= _SMALL_WEIGHTS
        rounders = _rounders(moments, thorough=thorough and small)
        scale = usable(np.maximum(_scales(w, moments), smallest))
        codes = _codes(w, scale, rounders)
        if limits is not None:
            keep_within(limits, w, scale, codes, rounders)

    exact_bias = bias.astype(np.float64)
    if moments is not None:
        exact_bias = exact_bias + _lost_mean(w, codes * scale[:, None], moments)
    bias_scale = (np.float32(input_scale) * scale).astype(np.float32)
    bias_scale = np.maximum(bias_scale, np.finfo(np.float32).tiny)
    bias_codes = np.rint(exact_bias / bias_scale.astype(np.float64))
    shaped = (codes + zero_point).astype(np.int8).reshape(moved.shape)
    return QuantizedWeights(
        weight=np.ascontiguousarray(np.moveaxis(shaped, 0, axis)),
        zero_point=np.full(scale.shape, zero_point, np.int8),
        scale=scale,
        bias=np.clip(bias_codes, -_INT32_MAX, _INT32_MAX).astype(np.int32),
        bias_scale=bias_scale,
    )


_HUGE = 1e20
"""A variance whose sums might not fit into float32."""


def _unclipped(w: Array, limits: PairLimits | None, *, any_order: bool) -> Array:
    """Return the smallest scale of each row of ``w`` ``(O, K)`` at which nothing is clipped."""
    largest = np.abs(w).max(axis=1) / LARGEST_CODE
    if limits is None:
        return np.asarray(largest)
    if any_order:
        w, limits = np.sort(w, axis=1), limits.of_both_ends(w.shape[1])
    return np.asarray(np.maximum(largest, limits.safe_scale(w)))


def _scales(w: Array, moments: Moments) -> Array:
    """Return the scale of each row of ``w`` ``(O, K)``: that of least error of the output."""
    w = w.astype(np.float32)  # twice as fast, and exact enough to compare errors
    largest = np.abs(w).max(axis=1) / LARGEST_CODE
    if not np.isfinite(moments.variance).all():
        return np.asarray(largest, np.float64)
    importance = _by_channel(_importance(moments).astype(np.float32), len(w))
    best, least = largest, np.full(len(w), np.inf)
    for share in _SHARES:
        scale = usable(largest * share)[:, None]
        error = _square_error(w, scale, importance)
        best = np.where(error < least, largest * share, best)
        least = np.minimum(error, least)
    return np.asarray(best, np.float64)


def _importance(moments: Moments) -> Array:
    """Return how much the square error of each weight matters, ``(groups, K)`` float64."""
    variance = moments.variance
    if not np.isfinite(variance).all():
        return np.ones_like(variance, np.float64)  # nothing can be told of what matters
    if (peak := float(variance.max(initial=0.0))) > _HUGE:
        variance = variance / peak  # only shares matter
    # A little of everything: inputs that were always the same here may vary elsewhere.
    return np.asarray(variance + 1e-3 * variance.mean(axis=1, keepdims=True), np.float64)


def _rounders(moments: Moments, *, thorough: bool) -> list[Rounder]:
    """Return what rounds the weights of each group."""
    together = Exchange if thorough else Compensation
    return [
        Nearest(importance) if covariance is None else together(covariance)
        for importance, covariance in zip(_importance(moments), moments.covariances(), strict=True)
    ]


def _square_error(w: Array, scale: Array, importance: Array) -> Array:
    """Return the weighted square error of each row of ``w`` ``(O, K)`` in steps of its ``scale``.

    A few rows at a time: what is computed of them stays in the core's cache, four times as fast.
    """
    error = np.empty(len(w), w.dtype)
    rows = max(1, _CACHED_VALUES // w.shape[1])
    space = np.empty_like(w[:rows])
    for start in range(0, len(w), rows):
        part = slice(start, start + rows)
        off = np.divide(w[part], scale[part], out=space[: len(w[part])])
        np.rint(off, out=off)
        np.clip(off, -LARGEST_CODE, LARGEST_CODE, out=off)
        off *= scale[part]
        off -= w[part]
        np.square(off, out=off)
        off *= importance[part]
        error[part] = off.sum(axis=1)
    return error


def _codes(w: Array, scale: Array, rounders: Sequence[Rounder]) -> Array:
    """Return the codes of ``w`` ``(O, K)``, all within +-127; each group has its rounder."""
    steps = np.split(w / scale.astype(np.float64)[:, None], len(rounders))
    return np.concatenate(
        [rounder.codes(part) for rounder, part in zip(rounders, steps, strict=True)]
    )


def _lost_mean(w: Array, rounded: Array, moments: Moments) -> Array:
    """Return by how much the mean output ``(O,)`` falls short when ``rounded`` replaces ``w``."""
    exact = (w * _by_channel(moments.mean_exact, len(w))).sum(axis=1)
    return np.asarray(exact - (rounded * _by_channel(moments.mean, len(w))).sum(axis=1))


def _by_channel(values: Array, channels: int) -> Array:
    """Return ``(groups, K)`` as ``(channels, K)``."""
    return np.repeat(values, channels // len(values), axis=0)


def weighted_layers(model: ir.Model, plan: Plan) -> dict[str, ir.Node]:
    """Return the convolutions and linear layers that run in int8, by node name, in graph order."""
    return {
        str(node.name): node
        for node in model.graph
        if node in plan.nodes and node.op_type in WEIGHTED
    }


def layer_inputs(
    model: ir.Model, plan: Plan, parameters: Mapping[str, QuantizationParameters]
) -> dict[str, LayerInput]:
    """Return how each layer reads its input, by node name.

    Left out are convolutions that only copy: their weights are exact.
    """
    return {
        name: _layer_input(node, parameters[str(plan.tensors[activation_inputs(node)[0]].name)])
        for name, node in weighted_layers(model, plan).items()
        if COPIES_KEY not in node.metadata_props
    }


def quantize_layers(
    model: ir.Model,
    plan: Plan,
    parameters: Mapping[str, QuantizationParameters],
    target: TargetIsa,
    moments: Iterable[tuple[str, Moments]] = (),
    *,
    allow_overflow: bool = False,
    trained: bool = False,
    thorough: bool = False,
    threads: int = 1,
    progress: Progress = silent,
) -> dict[str, QuantizedWeights]:
    """Return the quantized weights of every int8 layer of ``model``, by node name.

    ``parameters`` are those of the tensors in ``plan.ranged`` by name, ``moments`` tell by node
    name what is known about the layers' inputs. Kernels are chosen for ``target``, not ``auto``.
    No pair of products overflows in any of them, unless that is allowed. ``trained``: the codes are
    those of quantization-aware training, which did not know the layout of the image. ``thorough``
    is as of :func:`quantize_weights`.
    ``threads`` is how many layers are in work at a time: covariances are large, and what is
    computed with them keeps all cores busy by itself. ``progress`` is told after each.
    """
    nodes = weighted_layers(model, plan)
    scales = {
        name: parameters[str(plan.tensors[activation_inputs(node)[0]].name)].scale
        for name, node in nodes.items()
    }

    def quantized(given: tuple[str, Moments | None]) -> tuple[str, QuantizedWeights]:
        name, known = given
        node = nodes[name]
        weight, axis = weight_of(node), channel_axis(node)
        channels = weight.shape[axis]
        bias = constant(node.inputs[2]) if len(node.inputs) > 2 else None
        return name, quantize_weights(
            weight,
            np.zeros(channels) if bias is None else np.broadcast_to(bias, (channels,)),
            scales[name],
            axis=axis,
            zero_point=weight_zero_point(node, target),
            limits=None if allow_overflow else pair_limits(node, weight, axis),
            any_order=trained and reads_image(plan, node),
            moments=known,
            thorough=thorough,
        )

    found: dict[str, QuantizedWeights] = {}
    rest: Iterable[tuple[str, None]] = ((name, None) for name in nodes if name not in found)
    known: tuple[Iterable[tuple[str, Moments | None]], ...] = (moments, rest)
    for layers in known:
        for name, weights in in_order(quantized, layers, workers=threads):
            found[name] = weights
            progress("rounding weights", len(found), len(nodes))
    return found


def reads_image(plan: Plan, node: ir.Node) -> bool:
    """Return whether ``node`` reads the image, whose layout in memory is the file's choice."""
    return plan.tensors[activation_inputs(node)[0]] not in set(plan.outputs.values())


def channel_axis(node: ir.Node) -> int:
    """Return the axis of the output channels in the weights of a Conv or Gemm."""
    return 0 if node.op_type == "Conv" or node.attributes.get_int("transB", 0) == 1 else 1


def _layer_input(node: ir.Node, parameters: QuantizationParameters) -> LayerInput:
    weight = weight_of(node)
    tensor = str(activation_inputs(node)[0].name)
    is_gemm = node.op_type == "Gemm"
    return LayerInput(
        node,
        tensor,
        parameters,
        kernel=() if is_gemm else weight.shape[2:],
        depth=weight.shape[1 - channel_axis(node)] if is_gemm else int(weight[0].size),
        weights=int(weight.size),
        groups=1 if is_gemm else group_of(node),
    )


def weight_of(node: ir.Node) -> Array:
    """Return the constant weights of a Conv or Gemm that the plan takes."""
    weight = constant(node.inputs[1])
    assert weight is not None, "the plan takes nodes with constant weights only"
    return weight
