"""The int8 operators of a graph, with gradients: codes in float32, sums as int32 would hold them.

Between operators a tensor holds whole numbers, its codes less their zero point. Sums of products
of such codes are exact in float32 up to 2^24, so a convolution gives exactly the sums of ONNX
Runtime's int32 kernels, and one multiplication in float32 and one rounding give the same code as
theirs. Rounding passes gradients on as if it were not there (Bengio et al., arXiv:1308.3432),
clipping stops them; both as in Jacob et al., arXiv:1712.05877.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_deploy.quantization.ranges import QuantizationParameters
from resnet_deploy.quantization.rounding import PairLimits
from resnet_deploy.quantization.weights import quantize_weights

ParametersByTensor = Mapping[str, QuantizationParameters]
"""The parameters of every tensor that has a range of its own, by its name in the graph."""


@dataclass(frozen=True, kw_only=True)
class Step(ABC):
    """One operator: reads tensors, gives one, all by their names in the graph."""

    reads: tuple[str, ...]
    gives: str

    @abstractmethod
    def run(self, inputs: Sequence[Tensor], parameters: ParametersByTensor) -> Tensor:
        """Return the result for ``inputs``, which are in the order of ``reads``."""


@dataclass(frozen=True, kw_only=True)
class Affine(Step):
    """A float operator in front of the first int8 one, which makes pixels of normalised values."""

    operator: str
    by: Tensor

    def run(self, inputs: Sequence[Tensor], parameters: ParametersByTensor) -> Tensor:
        """Return the padded, multiplied or shifted input."""
        (x,) = inputs
        if self.operator == "Pad":
            _, _, top, left, _, _, bottom, right = self.by.tolist()
            return F.pad(x, (left, right, top, bottom))
        return x * self.by if self.operator == "Mul" else x + self.by


@dataclass(frozen=True, kw_only=True)
class Quantize(Step):
    """From real numbers to the nearest codes of ``tensor``."""

    tensor: str

    def run(self, inputs: Sequence[Tensor], parameters: ParametersByTensor) -> Tensor:
        """Return the nearest codes."""
        (x,) = inputs
        target = parameters[self.tensor]
        return _to_codes(x / float(target.scale), target)


@dataclass(frozen=True, kw_only=True)
class Weighted(Step):
    """A convolution or linear layer, and the ReLU behind it.

    ``layer`` holds the float weights and is never called. Pairs of their codes keep to ``limits``,
    and so do any two of a channel with ``any_order``. With ``slope`` and ``offset``, float64
    ``(C,)``, its weights are for normalised values, and what it reads are pixels
    ``slope x + offset``. ``source`` and ``target`` name the tensors whose parameters its input and
    its result have; without a target the result are real numbers, as logits are.
    """

    layer: nn.Conv2d | nn.Linear
    source: str
    target: str | None
    relu: bool
    limits: PairLimits | None = None
    any_order: bool = False
    slope: Tensor | None = None
    offset: Tensor | None = None

    def run(self, inputs: Sequence[Tensor], parameters: ParametersByTensor) -> Tensor:
        """Return codes of the target, or real numbers."""
        weight, bias = self.layer.weight, self.layer.bias
        if bias is None:
            bias = torch.zeros(len(weight))
        if self.slope is not None and self.offset is not None:
            # As rewrites/pixel_input.py does it: in float64, rounded once.
            scaled = weight.double() / self.slope.reshape(1, -1, 1, 1)
            bias = (bias.double() - torch.einsum("oihw,i->o", scaled, self.offset)).float()
            weight = scaled.float()
        source = parameters[self.source].scale
        weight_codes, bias_codes, scale = _RoundedWeights.apply(  # type: ignore[no-untyped-call]
            weight, bias, source, self.limits, self.any_order
        )
        sums = self._sums(inputs[0], weight_codes, bias_codes)
        step = scale * float(source)
        if self.target is None:
            return sums * _by_channel(step, sums)
        target = parameters[self.target]
        return _to_codes(sums * _by_channel(step / float(target.scale), sums), target, self.relu)

    def _sums(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.linear(x, weight, bias)


@dataclass(frozen=True, kw_only=True)
class Convolution(Weighted):
    """``pads`` are (top, left, bottom, right) and zeros, which have a code of their own."""

    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]
    groups: int

    def _sums(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        top, left, bottom, right = self.pads
        padding = (top, left)
        if padding != (bottom, right):
            x, padding = F.pad(x, (left, right, top, bottom)), (0, 0)
        return F.conv2d(x, weight, bias, self.strides, padding, self.dilations, self.groups)


@dataclass(frozen=True, kw_only=True)
class Copy(Step):
    """Option A's shortcut: every s-th pixel, and zeros as further channels."""

    strides: tuple[int, int]
    before: int
    after: int

    def run(self, inputs: Sequence[Tensor], parameters: ParametersByTensor) -> Tensor:
        """Return the same codes in more channels."""
        kept = inputs[0][:, :, :: self.strides[0], :: self.strides[1]]
        return F.pad(kept, (0, 0, 0, 0, self.before, self.after))


@dataclass(frozen=True, kw_only=True)
class Sum(Step):
    """The sum of two tensors with parameters of their own, and the ReLU behind it."""

    addends: tuple[str, str]
    target: str
    relu: bool

    def run(self, inputs: Sequence[Tensor], parameters: ParametersByTensor) -> Tensor:
        """Return codes of the target."""
        target = parameters[self.target]
        first, second = (float(parameters[name].scale / target.scale) for name in self.addends)
        return _to_codes(torch.add(inputs[0] * first, inputs[1] * second), target, self.relu)


@dataclass(frozen=True, kw_only=True)
class GlobalAverage(Step):
    """The mean over all pixels, of ``(N, C, H, W)`` as ``(N, C, 1, 1)``."""

    source: str
    target: str

    def run(self, inputs: Sequence[Tensor], parameters: ParametersByTensor) -> Tensor:
        """Return codes of the target."""
        (x,) = inputs
        source, target = parameters[self.source].scale, parameters[self.target]
        step = source / (target.scale * np.float32(x.shape[2] * x.shape[3]))
        return _to_codes(x.sum((2, 3), keepdim=True) * float(step), target)


@dataclass(frozen=True, kw_only=True)
class Move(Step):
    """What moves or picks codes and makes no new ones: max-pooling, flattening."""

    layer: nn.Module

    def run(self, inputs: Sequence[Tensor], parameters: ParametersByTensor) -> Tensor:
        """Return codes of the input."""
        return torch.as_tensor(self.layer(inputs[0]))


@dataclass(frozen=True, kw_only=True)
class Dequantize(Step):
    """From the codes of ``tensor`` to real numbers, at the end of a network without logits."""

    tensor: str

    def run(self, inputs: Sequence[Tensor], parameters: ParametersByTensor) -> Tensor:
        """Return what the codes stand for."""
        return inputs[0] * float(parameters[self.tensor].scale)


def _to_codes(steps: Tensor, target: QuantizationParameters, relu: bool = False) -> Tensor:
    zero = float(target.zero_point)
    rounded: Tensor = _Rounded.apply(steps, 0.0 if relu else -zero, 255 - zero)  # type: ignore[no-untyped-call]
    return rounded


def _by_channel(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(1, -1, *(1,) * (like.ndim - 2))


class _Rounded(torch.autograd.Function):
    """Round half to even within ``low`` and ``high``; gradients pass inside and stop outside."""

    @staticmethod
    def forward(ctx: Any, steps: Tensor, low: float, high: float) -> Tensor:
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward((steps >= low) & (steps <= high))
        return steps.round().clamp_(low, high)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (inside,) = ctx.saved_tensors
        return grads[0] * inside, None, None


class _RoundedWeights(torch.autograd.Function):
    """Codes of weights and bias, and the scale of each channel, as the exporter computes them."""

    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        bias: Tensor,
        source: np.float32,
        limits: PairLimits | None,
        any_order: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        if not bool(torch.isfinite(weight.sum() + bias.sum())):
            # Codes are always numbers: the loss of a diverged training would look like one, too.
            weight, bias = torch.full_like(weight, torch.nan), torch.full_like(bias, torch.nan)
            ctx.save_for_backward(bias, bias)
            return weight, bias, bias.clone()
        quantized = quantize_weights(
            weight.detach().numpy(),
            bias.detach().numpy(),
            source,
            limits=limits,
            any_order=any_order,
        )
        scale = torch.from_numpy(quantized.scale)
        ctx.save_for_backward(scale, torch.from_numpy(quantized.bias_scale))
        ctx.mark_non_differentiable(scale)
        codes = torch.from_numpy(quantized.weight).float()
        return codes, torch.from_numpy(quantized.bias).float(), scale

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        scale, bias_scale = ctx.saved_tensors
        weight, bias, _ = grads
        return (
            weight / scale.reshape(-1, *(1,) * (weight.ndim - 1)),
            bias / bias_scale,
            None,
            None,
            None,
        )
