"""Convolution and pooling layers with all of ONNX's padding, of which PyTorch has a part."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_Pair = tuple[int, int]


def convolution(weight: Tensor, bias: Tensor | None, attributes: Mapping[str, Any]) -> nn.Module:
    """Return an ONNX Conv of ``weight`` ``(O, I / groups, H, W)`` and ``bias`` ``(O,)``.

    One of ``(O, I / groups, L)``, along a line, is computed on an image of height 1. Borders that
    differ between two sides, or depend on the input's size (``auto_pad``), become a layer of their
    own before the convolution.
    """
    if weight.ndim == 3:
        flat = convolution(weight[:, :, None], bias, _of_height_one(attributes))
        return nn.Sequential(nn.Unflatten(1, (-1, 1)), flat, nn.Flatten(1, 2))
    groups = int(attributes.get("group", 1))
    kernel = _pair(weight.shape[2:])
    padding = _own_padding(attributes)
    layer = nn.Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        kernel_size=kernel,
        stride=_pair(attributes.get("strides", (1, 1))),
        padding=padding or 0,
        dilation=_pair(attributes.get("dilations", (1, 1))),
        groups=groups,
        bias=bias is not None,
    )
    layer.weight = nn.Parameter(weight.float(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.float(), requires_grad=False)
    if padding is not None:
        return layer
    return nn.Sequential(_border(attributes, kernel, 0.0), layer)


def _of_height_one(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a convolution along a line for one over an image of height 1."""
    wide = dict(attributes)
    for name, beside in (("strides", 1), ("dilations", 1)):
        if name in attributes:
            wide[name] = [beside, *attributes[name]]
    if "pads" in attributes:
        before, after = attributes["pads"]
        wide["pads"] = [0, before, 0, after]
    return wide


def max_pool(attributes: Mapping[str, Any]) -> nn.MaxPool2d | nn.Sequential:
    """Return an ONNX MaxPool; borders never win, so uneven ones are filled with -infinity."""
    kernel = _pair(attributes["kernel_shape"])
    padding = _own_padding(attributes, kernel)
    layer = nn.MaxPool2d(
        kernel,
        stride=_pair(attributes.get("strides", (1, 1))),
        padding=padding or 0,
        dilation=_pair(attributes.get("dilations", (1, 1))),
        ceil_mode=bool(attributes.get("ceil_mode", 0)),
    )
    if padding is not None:
        return layer
    return nn.Sequential(_border(attributes, kernel, -math.inf), layer)


def average_pool(attributes: Mapping[str, Any]) -> nn.AvgPool2d | UnevenAveragePool:
    """Return an ONNX AveragePool, ``count_include_pad`` and ``ceil_mode`` as there."""
    kernel = _pair(attributes["kernel_shape"])
    padding = _own_padding(attributes, kernel)
    include = bool(attributes.get("count_include_pad", 0))
    layer = nn.AvgPool2d(
        kernel,
        stride=_pair(attributes.get("strides", (1, 1))),
        padding=padding or 0,
        ceil_mode=bool(attributes.get("ceil_mode", 0)),
        count_include_pad=include,
    )
    if padding is not None:
        return layer
    return UnevenAveragePool(_border(attributes, kernel, 0.0), layer, include)


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


def _own_padding(attributes: Mapping[str, Any], kernel: _Pair | None = None) -> _Pair | None:
    """Return the padding that PyTorch's layer can add itself; None where it takes a border.

    Both sides must have the same. Pooling refuses more than half of its ``kernel``.
    """
    pads = _pads(attributes)
    if pads is None or pads[:2] != pads[2:]:
        return None
    if kernel is not None and (2 * pads[0] > kernel[0] or 2 * pads[1] > kernel[1]):
        return None
    return pads[0], pads[1]


def _border(
    attributes: Mapping[str, Any], kernel: _Pair, value: float
) -> SamePad | nn.ConstantPad2d:
    """Return the layer that adds the border, filled with ``value``."""
    pads = _pads(attributes)
    if pads is None:
        return SamePad(kernel, attributes, value)
    top, left, bottom, right = pads
    return nn.ConstantPad2d((left, right, top, bottom), value)


def _pair(values: Sequence[int]) -> _Pair:
    return int(values[0]), int(values[1])
