"""Which int8 kernel of ONNX Runtime a convolution gets, and which weights it adds up rightly.

A convolution whose weights have zero point 0 runs in ConvSym, a direct convolution on VNNI or dot
product. With any other zero point (the same for all channels) it runs as im2col and matrix product,
and that product uses AMX where the CPU has it. Shifting codes and zero point together changes no
result, only the kernel.

The product pays when it is deep enough to be worth its detour: im2col first, and an int32 buffer of
the whole output. Measured on a Xeon with AMX, two threads, microseconds direct -> product:

    3x3, 64 -> 64 at 56x56      189 -> 237      1x1, 64 -> 256 at 56x56      124 -> 260
    3x3, 128 -> 128 at 28x28    198 -> 155      1x1, 256 -> 64 at 56x56       93 ->  95
    3x3, 256 -> 256 at 14x14    205 -> 117      1x1, 512 -> 128 at 28x28      98 ->  72
    3x3, 512 -> 512 at 7x7      320 -> 149      1x1, 2048 -> 512 at 7x7      153 ->  87

x86 CPUs without VNNI have neither. There all int8 kernels (vpmaddubsw in AVX2, AVX-512 and SSE
alike) add up two products of u8 activations and s8 weights in int16, with saturation, before
anything wider: a0 * w0 + a1 * w1. Such a pair reaches 2 * 255 * 127 = 64,770, and what is above
32,767 is lost. VNNI, AMX and ARM's dot product add up in 32 bits. Weights of different signs never
overflow together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnx import numpy_helper

from resnet_deploy.arrays import Array
from resnet_deploy.graph.constants import constant, ints
from resnet_deploy.quantization.rounding import PairLimits
from resnet_deploy.spec import TargetIsa

_DEEP_1X1 = 512
_DEEP = 1152
"""Multiply-accumulates per output value from which the product is faster (3x3: 128 channels)."""

INT16 = np.iinfo(np.int16)

_LARGEST_ACTIVATION = 255

_MOST_STEPS = INT16.max // _LARGEST_ACTIVATION
"""Of two weights of one sign, together: 255 * 128 = 32,640 fits into int16, and its negative."""


def resolve_target(target: TargetIsa, extensions: tuple[str, ...]) -> TargetIsa:
    """Return ``target``; ``auto`` becomes what a CPU with these vector ``extensions`` wants."""
    if target is not TargetIsa.AUTO:
        return target
    return TargetIsa.X86_AMX if "amx_int8" in extensions else TargetIsa.PORTABLE


def weight_zero_point(node: ir.Node, target: TargetIsa) -> int:
    """Return the zero point of the s8 weights of ``node``: 0, or -1 for the matrix product.

    Codes lie in [-127, 127] around it, so that -1 needs no wider type.
    """
    if target is not TargetIsa.X86_AMX or node.op_type != "Conv":
        return 0
    weight = constant(node.inputs[1])
    if weight is None or weight.ndim != 4 or group_of(node) != 1:
        return 0
    depth = int(weight[0].size)
    single_pixel = weight.shape[2:] == (1, 1)
    return -1 if depth >= (_DEEP_1X1 if single_pixel else _DEEP) else 0


def pair_limits(node: ir.Node, weight: Array, axis: int) -> PairLimits | None:
    """Return the limits within which no pair of products of ``node`` overflows, for any inputs.

    They are those of every kernel that a target may choose for it, so that all targets give the
    same codes. None: its kernel adds up in 32 bits. ``weight`` is that of a Conv or Gemm, and
    ``axis`` that of its output channels; places are those in one of these, flattened.
    """
    if is_depthwise(node, weight):
        return None
    shape = list(weight.shape)
    channels = shape.pop(axis)
    places = np.arange(weight.size // channels).reshape(1, *shape)
    pairs = weight_pairs(places + 1)[0] - 1  # what is left over pairs with -1
    pairs = pairs[(pairs >= 0).all(axis=1)]
    # Shifted by the zero point -1, two codes are as far below zero as if they were two steps less.
    zero_point = weight_zero_point(node, TargetIsa.X86_AMX)
    return PairLimits(
        first=pairs[:, 0], second=pairs[:, 1], most=_MOST_STEPS, least=-_MOST_STEPS - 2 * zero_point
    )


def is_depthwise(node: ir.Node, weight: Array) -> bool:
    """Return whether ``node`` runs in the kernel that computes each channel from itself alone.

    That kernel adds up in 32 bits on every CPU.
    """
    return node.op_type == "Conv" and weight.shape[1] == 1 and len(weight) == group_of(node)


def group_of(node: ir.Node) -> int:
    """Return the number of groups of a convolution."""
    return node.attributes.get_int("group", 1)


def uses_matrix_product(model: onnx.ModelProto) -> bool:
    """Return whether any weights of an int8 file have a zero point other than 0."""
    weights = {node.input[1] for node in model.graph.node if node.op_type == "Conv"}
    zero_points = {
        node.input[2]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.output[0] in weights
    }
    return any(
        numpy_helper.to_array(tensor).any()
        for tensor in model.graph.initializer
        if tensor.name in zero_points
    )


def weight_pairs(weight: NDArray[Any], axis: int = 0) -> NDArray[Any]:
    """Return the weights whose products a kernel adds up in int16, ``(channels, pairs, 2)``.

    ``weight`` is of a Conv, ``(channels, inputs per group, ...)``, or of a Gemm, of any type;
    ``axis`` is that of its output channels.

    All kernels (ConvSym: inputs in multiples of four; im2col and matrix product: the rest) read the
    inputs of one tap one after the other, then those of the next tap, and pair neighbours. With an
    odd number of inputs the last one pairs with the next tap; what is left at the end, with zero.
    """
    rows = np.moveaxis(np.moveaxis(weight, axis, 0), 1, -1).reshape(weight.shape[axis], -1)
    if rows.shape[1] % 2:
        rows = np.pad(rows, ((0, 0), (0, 1)))
    return rows.reshape(len(rows), -1, 2)


def can_overflow(pairs: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Return which ``pairs`` of codes, ``(..., 2)``, overflow with some activations."""
    first, second = pairs[..., 0].astype(np.int16), pairs[..., 1].astype(np.int16)
    up = np.maximum(first, 0) + np.maximum(second, 0)
    down = np.minimum(first, 0) + np.minimum(second, 0)
    return (up > _MOST_STEPS) | (down < -_MOST_STEPS)


def windows_of(node: ir.Node, codes: Array, kernel: tuple[int, ...], zero_point: int) -> Array:
    """Return what each output pixel reads, ``(N, C, *output size, *kernel)``: a view on ``codes``.

    ``codes`` are ``(N, C, *size)``. ``kernel`` is the size of that of ``node``, a Conv; any other
    operator has none, and gets its codes back. ``zero_point`` stands around the image.
    """
    axes = len(kernel)
    strides = ints(node, "strides", (1,) * axes)
    dilations = ints(node, "dilations", (1,) * axes)
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    before, after = _pads(node, codes.shape[2:], reach, strides)
    around = [(0, 0), (0, 0), *zip(before, after, strict=True)]
    padded = np.pad(codes, around, constant_values=zero_point)
    view = sliding_window_view(padded, reach, axis=tuple(range(2, 2 + axes)))
    steps = [slice(None, None, step) for step in (1, 1, *strides, *dilations)]
    return view[tuple(steps)]


def _pads(
    node: ir.Node, size: tuple[int, ...], reach: list[int], strides: tuple[int, ...]
) -> tuple[list[int], list[int]]:
    """Return the pixels put before and after the image by spatial axis, as the operator says."""
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    if not auto.startswith("SAME"):
        pads = list(ints(node, "pads", (0,) * (2 * len(size))))
        return pads[: len(size)], pads[len(size) :]
    total = [
        max(0, (-(-pixels // step) - 1) * step + far - pixels)
        for pixels, far, step in zip(size, reach, strides, strict=True)
    ]
    smaller, larger = [pads // 2 for pads in total], [pads - pads // 2 for pads in total]
    return (smaller, larger) if auto == "SAME_UPPER" else (larger, smaller)
