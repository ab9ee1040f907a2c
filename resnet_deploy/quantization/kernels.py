"""Which int8 kernel of ONNX Runtime a convolution gets, where the file can choose.

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

x86 CPUs without VNNI have neither: :mod:`resnet_deploy.quantization.saturation` says what they
need.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import numpy_helper

from resnet_deploy.arrays import Array
from resnet_deploy.graph.constants import constant
from resnet_deploy.quantization.saturation import safe_scale
from resnet_deploy.runners.cpu import has_vnni
from resnet_deploy.spec import TargetIsa

_DEEP_1X1 = 512
_DEEP = 1152
"""Multiply-accumulates per output value from which the product is faster (3x3: 128 channels)."""


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

    QuantizationParameters lie in [-127, 127] around it, so that -1 needs no wider type.
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
    return node.attributes["group"].as_int() if "group" in node.attributes else 1


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
