"""ONNX operators that compute: layers, activations, reductions, and quantization in float32."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_deploy.interpreter.layers import average_pool, convolution, max_pool
from resnet_deploy.interpreter.node import Converted, Node, identity


def convert_conv(node: Node) -> Converted:
    """A convolution over height and width, or along one line; weight and bias are constants."""
    weight = node.constant(1)
    if weight.ndim not in (3, 4):
        raise node.unsupported(f"a convolution over {weight.ndim - 2} dimensions")
    bias = node.constant(2) if node.has(2) else None
    return convolution(weight, bias, node.attributes), node.inputs[:1]


def convert_max_pool(node: Node) -> Converted:
    """The maximum of each window."""
    if node.outputs > 1:
        raise node.unsupported("the indices of the maxima")
    return max_pool(_pool_attributes(node)), node.inputs[:1]


def convert_average_pool(node: Node) -> Converted:
    """The mean of each window."""
    if any(step != 1 for step in node.attributes.get("dilations", ())):
        raise node.unsupported("a dilated average")
    return average_pool(_pool_attributes(node)), node.inputs[:1]


def _pool_attributes(node: Node) -> dict[str, Any]:
    if len(node.attributes["kernel_shape"]) != 2:
        raise node.unsupported("pooling that is not over height and width")
    return node.attributes


def convert_gemm(node: Node) -> Converted:
    """A linear layer: alpha * A * B + beta * C with constant B and C."""
    if node.attributes.get("transA", 0):
        raise node.unsupported("transA=1")
    weight = node.constant(1).float() * node.attributes.get("alpha", 1.0)
    if not node.attributes.get("transB", 0):
        weight = weight.T
    bias = None
    if node.has(2):
        bias = node.constant(2).float() * node.attributes.get("beta", 1.0)
        bias = bias.broadcast_to((1, len(weight)))[0]
    return _linear(weight, bias), node.inputs[:1]


def convert_mat_mul(node: Node) -> Converted:
    """A linear layer when the second input is a constant matrix."""
    if node.inputs[1] in node.constants and node.constant(1).ndim == 2:
        return _linear(node.constant(1).float().T, None), node.inputs[:1]
    return torch.matmul, node.inputs


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.contiguous(), requires_grad=False)
    return layer


class _BatchNorm(nn.BatchNorm2d):
    """Of maps, or of the vectors that embeddings are."""

    def _check_input_dim(self, input: Tensor) -> None:
        pass


def convert_batch_norm(node: Node) -> Converted:
    """Evaluation mode: the stored mean and variance."""
    if node.attributes.get("training_mode", 0):
        raise node.unsupported("a batch that is normalised by itself")
    scale, shift, mean, variance = (node.constant(i).float() for i in range(1, 5))
    layer = _BatchNorm(len(scale), eps=node.attributes.get("epsilon", 1e-5))
    layer.weight = nn.Parameter(scale, requires_grad=False)
    layer.bias = nn.Parameter(shift, requires_grad=False)
    layer.running_mean, layer.running_var = mean, variance
    return layer.eval(), node.inputs[:1]


def convert_clip(node: Node) -> Converted:
    """Bounds are attributes until opset 10, optional inputs since."""
    low, high = node.attributes.get("min"), node.attributes.get("max")
    if node.has(1):
        low = node.constant(1).item()
    if node.has(2):
        high = node.constant(2).item()
    if low is None and high is None:
        return identity, node.inputs[:1]
    return partial(torch.clamp, min=low, max=high), node.inputs[:1]


def convert_hard_sigmoid(node: Node) -> Converted:
    """ONNX: max(0, min(1, alpha * x + beta)); PyTorch has one alpha only, 1/6."""
    alpha, beta = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    return (lambda x: torch.clamp(alpha * x + beta, 0, 1)), node.inputs[:1]


def convert_lrn(node: Node) -> Converted:
    """Each value over a power of the squares around it, ``size`` channels wide.

    PyTorch's own has the middle of an even number of channels elsewhere.
    """
    size, bias = int(node.attributes["size"]), node.attributes.get("bias", 1.0)
    alpha, beta = node.attributes.get("alpha", 1e-4), node.attributes.get("beta", 0.75)
    before, after = (size - 1) // 2, size // 2

    def normalise(x: Tensor) -> Tensor:
        squares = F.pad(x.square(), (0, 0, 0, 0, before, after))
        sums = squares.unfold(1, size, 1).sum(-1)
        normalised: Tensor = x / (bias + alpha / size * sums) ** beta
        return normalised

    return normalise, node.inputs[:1]


def convert_softmax(node: Node) -> Converted:
    """Along one axis since opset 13, over all dimensions from the axis on before."""
    if node.opset >= 13:
        return partial(torch.softmax, dim=node.attributes.get("axis", -1)), node.inputs[:1]
    axis = node.attributes.get("axis", 1)
    return (lambda x: torch.softmax(x.flatten(axis), dim=-1).reshape(x.shape)), node.inputs[:1]


def convert_top_k(node: Node) -> Converted:
    """The K largest (or smallest) along one axis, in order, and where they were.

    The lower index comes first among equals, which ``torch.topk`` does not promise.
    """
    count = node.ints("k", 1) if node.has(1) else [int(node.attributes["k"])]
    assert count is not None, "both kinds of K are there"
    axis = node.attributes.get("axis", -1)
    largest = bool(node.attributes.get("largest", 1))

    def top_k(x: Tensor) -> tuple[Tensor, Tensor]:
        values, places = torch.sort(x, dim=axis, descending=largest, stable=True)
        return values.narrow(axis, 0, count[0]), places.narrow(axis, 0, count[0])

    return top_k, node.inputs[:1]


def convert_reduce(function: Callable[..., Tensor]) -> Callable[[Node], Converted]:
    """The mean or the sum over the given axes, or all."""

    def convert(node: Node) -> Converted:
        axes = node.ints("axes", 1)
        if not axes and node.attributes.get("noop_with_empty_axes", 0):
            return identity, node.inputs[:1]
        keep = bool(node.attributes.get("keepdims", 1))
        return (lambda x: function(x, dim=axes or list(range(x.ndim)), keepdim=keep)), node.inputs[
            :1
        ]

    return convert


def convert_lp_normalization(node: Node) -> Converted:
    """A vector over its length, or over the sum of its sizes; zeros stay zeros."""
    axis, order = node.attributes.get("axis", -1), node.attributes.get("p", 2)
    return partial(nn.functional.normalize, p=order, dim=axis), node.inputs[:1]


def convert_quantize(node: Node) -> Converted:
    """round(x / scale) + zero point, half to even, saturated; kept in float32."""
    scale, zero = _scale_and_zero(node)
    kind = torch.uint8 if zero is None else zero.dtype
    if kind not in (torch.int8, torch.uint8, torch.int16, torch.uint16):
        raise node.unsupported(f"quantization to {kind}")
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
