"""QuantizeLinear and DequantizeLinear, emulated in float32."""

from __future__ import annotations

import torch
from torch import Tensor

from resnet_deploy.interpreter.node import Converted, Node


def convert_quantize(node: Node) -> Converted:
    """round(x / scale) + zero point, half to even, saturated; kept in float32."""
    scale, zero = _scale_and_zero(node)
    kind = torch.int8 if zero is not None and zero.dtype == torch.int8 else torch.uint8
    if zero is not None and zero.dtype not in (torch.int8, torch.uint8):
        raise node.unsupported(f"quantization to {zero.dtype}")
    limits = torch.iinfo(kind)
    axis = node.attributes.get("axis", 1)

    def quantize(x: Tensor) -> Tensor:
        steps = torch.round(x / _along(scale, axis, x))
        if zero is not None:
            steps = steps + _along(zero.float(), axis, x)
        return torch.clamp(steps, limits.min, limits.max)

    return quantize, node.inputs[:1]


def convert_dequantize(node: Node) -> Converted:
    """(q - zero point) * scale."""
    scale, zero = _scale_and_zero(node)
    axis = node.attributes.get("axis", 1)

    def dequantize(q: Tensor) -> Tensor:
        steps = q.float()
        if zero is not None:
            steps = steps - _along(zero.float(), axis, q)
        return steps * _along(scale, axis, q)

    return dequantize, node.inputs[:1]


def _scale_and_zero(node: Node) -> tuple[Tensor, Tensor | None]:
    if node.attributes.get("block_size", 0):
        raise node.unsupported("quantization by blocks")
    return node.constant(1).float(), node.constant(2) if node.has(2) else None


def _along(values: Tensor, axis: int, like: Tensor) -> Tensor:
    """Shape per-channel ``values`` so that they broadcast along ``axis`` of ``like``."""
    if values.numel() == 1:
        return values.reshape(())
    shape = [1] * like.ndim
    shape[axis] = -1
    return values.reshape(shape)
