"""Convolution and pooling layers with ONNX's padding, which PyTorch has only in part."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_Pair = tuple[int, int]


def convolution(
    weight: Tensor, bias: Tensor | None, attributes: Mapping[str, Any]
) -> nn.Conv2d | nn.Sequential:
    """Return an ONNX Conv of ``weight`` ``(O, I / groups, H, W)`` and ``bias`` ``(O,)``.

    Borders that differ between two sides, or depend on the input's size (``auto_pad``), become
    a layer of their own before the convolution.
    """
    groups = int(attributes.get("group", 1))
    layer = nn.Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        kernel_size=_pair(weight.shape[2:]),
        stride=_pair(attributes.get("strides", (1, 1))),
        dilation=_pair(attributes.get("dilations", (1, 1))),
        groups=groups,
        bias=bias is not None,
    )
    layer.weight = nn.Parameter(weight.float(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.float(), requires_grad=False)
    pads = _pads(attributes)
    if pads is None:
        border = SamePad(_pair(weight.shape[2:]), attributes, 0.0)
        return nn.Sequential(border, layer)
    if _symmetric(pads):
        layer.padding = (pads[0], pads[1])
        # Conv2d prepares this list from its padding at construction.
        layer._reversed_padding_repeated_twice = [pads[1], pads[1], pads[0], pads[0]]
        return layer
    return nn.Sequential(nn.ConstantPad2d(_torch_order(pads), 0.0), layer)


def max_pool(attributes: Mapping[str, Any]) -> nn.MaxPool2d | nn.Sequential:
    """Return an ONNX MaxPool; borders never win, so uneven ones are filled with -infinity."""
    kernel = _pair(attributes["kernel_shape"])
    pads = _pads(attributes)
    direct = pads is not None and _symmetric(pads) and _at_most_half(pads, kernel)
    layer = nn.MaxPool2d(
        kernel,
        stride=_pair(attributes.get("strides", (1, 1))),
        padding=(pads[0], pads[1]) if pads is not None and direct else 0,
        dilation=_pair(attributes.get("dilations", (1, 1))),
        ceil_mode=bool(attributes.get("ceil_mode", 0)),
    )
    if direct:
        return layer
    if pads is None:
        return nn.Sequential(SamePad(kernel, attributes, -math.inf), layer)
    return nn.Sequential(nn.ConstantPad2d(_torch_order(pads), -math.inf), layer)


def average_pool(attributes: Mapping[str, Any]) -> nn.AvgPool2d | UnevenAveragePool:
    """Return an ONNX AveragePool, ``count_include_pad`` and ``ceil_mode`` as there."""
    kernel = _pair(attributes["kernel_shape"])
    stride = _pair(attributes.get("strides", (1, 1)))
    ceil = bool(attributes.get("ceil_mode", 0))
    pads = _pads(attributes)
    include = bool(attributes.get("count_include_pad", 0))
    if pads is not None and _symmetric(pads) and _at_most_half(pads, kernel):
        return nn.AvgPool2d(
            kernel, stride, padding=(pads[0], pads[1]), ceil_mode=ceil, count_include_pad=include
        )
    border = (
        SamePad(kernel, attributes, 0.0)
        if pads is None
        else nn.ConstantPad2d(_torch_order(pads), 0.0)
    )
    return UnevenAveragePool(border, nn.AvgPool2d(kernel, stride, ceil_mode=ceil), include)


class UnevenAveragePool(nn.Module):
    """The average after a border that differs between sides.

    Unless the border counts, each mean is divided by the share of its window that is image.
    """

    def __init__(self, border: nn.Module, pool: nn.AvgPool2d, include: bool) -> None:
        super().__init__()
        self.border = border
        self.pool = pool
        self.include = include

    def forward(self, x: Tensor) -> Tensor:
        """Return the average of ``x`` ``(N, C, H, W)``."""
        mean: Tensor = self.pool(self.border(x))
        if self.include:
            return mean
        share: Tensor = self.pool(self.border(torch.ones_like(x[:1, :1])))
        return mean / share


class SamePad(nn.Module):
    """``auto_pad`` SAME_UPPER or SAME_LOWER: ceil(size / stride) outputs.

    An odd border's extra pixel is below and right for SAME_UPPER, above and left for SAME_LOWER.
    """

    def __init__(self, kernel: _Pair, attributes: Mapping[str, Any], value: float) -> None:
        super().__init__()
        dilations = _pair(attributes.get("dilations", (1, 1)))
        self.strides = _pair(attributes.get("strides", (1, 1)))
        self.extents = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
        self.upper = attributes["auto_pad"] == "SAME_UPPER"
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` ``(N, C, H, W)`` with its border."""
        amounts: list[int] = []
        for size, stride, extent in zip(x.shape[2:], self.strides, self.extents, strict=True):
            total = max(0, (math.ceil(size / stride) - 1) * stride + extent - size)
            small, large = total // 2, total - total // 2
            amounts = [*((small, large) if self.upper else (large, small)), *amounts]
        return F.pad(x, amounts, value=self.value)


def _pads(attributes: Mapping[str, Any]) -> tuple[int, int, int, int] | None:
    """Return (top, left, bottom, right); None when the input's size decides."""
    auto = attributes.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        return None
    pads = (0, 0, 0, 0) if auto == "VALID" else attributes.get("pads", (0, 0, 0, 0))
    return cast("tuple[int, int, int, int]", tuple(pads))


def _symmetric(pads: tuple[int, int, int, int]) -> bool:
    return pads[:2] == pads[2:]


def _at_most_half(pads: tuple[int, int, int, int], kernel: _Pair) -> bool:
    """PyTorch's pooling refuses a border of more than half the kernel."""
    return all(2 * pad <= size for pad, size in zip(pads[:2], kernel, strict=True))


def _torch_order(pads: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    top, left, bottom, right = pads
    return left, right, top, bottom


def _pair(values: Sequence[int]) -> _Pair:
    return int(values[0]), int(values[1])
