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
from resnet_deploy.runners.cpu import has_vnni
from resnet_deploy.spec import TargetIsa

_DEEP_1X1 = 512
_DEEP = 1152
"""Multiply-accumulates per output value from which the product is faster (3x3: 128 channels)."""

INT16 = np.iinfo(np.int16)

_LARGEST_ACTIVATION = 255

_LARGEST_STEPS = 127
"""Of two weights of one sign, together. Rounded away from zero both, they make 128 at most, and
255 * 128 = 32,640 fits into int16."""


def resolve_target(target: TargetIsa, extensions: tuple[str, ...]) -> TargetIsa:
    """Return ``target``; ``auto`` becomes what a CPU with these vector ``extensions`` wants."""
    if target is not TargetIsa.AUTO:
        return target
    if "amx_int8" in extensions:
        return TargetIsa.X86_AMX
    # AVX-512 without VNNI adds up pairs in int16 just as AVX2 does, and so does SSE 4.1.
    x86 = any(extension.startswith(("sse", "avx")) for extension in extensions)
    return TargetIsa.X86_AVX2 if x86 and not has_vnni(extensions) else TargetIsa.PORTABLE


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


def smallest_weight_scale(
    node: ir.Node, weight: Array, axis: int, target: TargetIsa
) -> NDArray[np.float32] | None:
    """Return the scale, per output channel, below which ``target`` adds up ``weight`` wrongly.

    None: every scale is good. ``axis`` is that of the output channels.
    """
    if target is not TargetIsa.X86_AVX2 or is_depthwise(node, weight):
        return None
    return safe_scale(weight, axis)


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
    first, second = pairs[..., 0].astype(np.int32), pairs[..., 1].astype(np.int32)
    high = _LARGEST_ACTIVATION * (np.maximum(first, 0) + np.maximum(second, 0))
    low = _LARGEST_ACTIVATION * (np.minimum(first, 0) + np.minimum(second, 0))
    return (high > INT16.max) | (low < INT16.min)


def safe_scale(weight: NDArray[Any], axis: int = 0) -> NDArray[np.float32]:
    """Return per output channel the smallest weight scale at which no pair can overflow.

    ``weight``, float, and ``axis`` are as in :func:`weight_pairs`. With this scale or a larger one,
    s8 codes and zero point 0, no activations make any pair overflow, however each weight is
    rounded: up, down or to the nearest code. A channel without two weights of one sign in a pair
    gets next to zero: any scale is good.
    """
    pairs = weight_pairs(np.asarray(weight, np.float64), axis)
    first, second = pairs[..., 0], pairs[..., 1]
    together = np.where(np.sign(first) == np.sign(second), np.abs(first + second), 0)
    scale: NDArray[np.float32] = (together.max(axis=1) / _LARGEST_STEPS).astype(np.float32)
    # The next float32 up: rounded down, the scale would leave the pair above its limit.
    return scale + np.spacing(scale)


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
