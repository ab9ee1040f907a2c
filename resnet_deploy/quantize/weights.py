"""Weights in s8 per output channel, and biases in int32 at the scale of the product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_INT32_MAX = 2**31 - 1


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
    weight: NDArray[Any],
    bias: NDArray[Any],
    input_scale: np.float32,
    axis: int = 0,
    zero_point: int = 0,
) -> QuantizedWeights:
    """Quantize the weights and the bias of a convolution or linear layer.

    Args:
        weight: float, output channels along ``axis``.
        bias: float (channels,).
        input_scale: scale of the u8 input.
        axis: 0 for Conv and Gemm with transB, 1 for Gemm without.
        zero_point: 0 or -1, the code of 0.0; see :mod:`resnet_deploy.quantize.kernels`.

    The weight scale is max|w| / 127, symmetric. In channels of almost zero weight it is raised
    until the bias fits into int32 together with the largest sum that the products can reach. The
    bias scale is exactly the float32 product of both scales: ONNX Runtime checks it, and runs the
    layer in float if it is off.
    """
    w = np.moveaxis(np.asarray(weight, np.float64), axis, 0)
    largest = np.abs(w.reshape(len(w), -1)).max(axis=1)
    room = max(_INT32_MAX - 255 * 128 * w[0].size, _INT32_MAX // 2)
    needed_by_bias = np.abs(bias.astype(np.float64)) / (float(input_scale) * room)
    scale = np.maximum(largest / 127, needed_by_bias)
    scale = np.where(scale > 1e-30, scale, 1.0).astype(np.float32)
    per_channel = scale.astype(np.float64).reshape(-1, *([1] * (w.ndim - 1)))
    codes = np.clip(np.rint(w / per_channel), -127, 127) + zero_point
    bias_scale = (np.float32(input_scale) * scale).astype(np.float32)
    bias_scale = np.maximum(bias_scale, np.finfo(np.float32).tiny)
    bias_codes = np.rint(bias.astype(np.float64) / bias_scale.astype(np.float64))
    return QuantizedWeights(
        weight=np.ascontiguousarray(np.moveaxis(codes, 0, axis).astype(np.int8)),
        zero_point=np.full(scale.shape, zero_point, np.int8),
        scale=scale,
        bias=np.clip(bias_codes, -_INT32_MAX, _INT32_MAX).astype(np.int32),
        bias_scale=bias_scale,
    )
