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
"""

from __future__ import annotations

import onnx
import onnx_ir as ir
from onnx import numpy_helper

from resnet_deploy.passes.constants import constant
from resnet_deploy.spec import TargetIsa

_DEEP_1X1 = 512
_DEEP = 1152
"""Multiply-accumulates per output value from which the product is faster (3x3: 128 channels)."""


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
    group = node.attributes["group"].as_int() if "group" in node.attributes else 1
    if weight is None or weight.ndim != 4 or group != 1:
        return 0
    depth = int(weight[0].size)
    single_pixel = weight.shape[2:] == (1, 1)
    return -1 if depth >= (_DEEP_1X1 if single_pixel else _DEEP) else 0


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
