"""Which sums of products overflow int16 on x86 CPUs without VNNI, and the scale at which none does.

There ONNX Runtime's int8 kernels (vpmaddubsw in AVX2, AVX-512 and SSE alike) add up two products of
u8 activations and s8 weights in int16, with saturation, before anything wider: a0 * w0 + a1 * w1.
Such a pair reaches 2 * 255 * 127 = 64,770, and what is above 32,767 is lost. VNNI, AMX and ARM's
dot product add up in 32 bits. Weights of different signs never overflow together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

INT16 = np.iinfo(np.int16)

_LARGEST_ACTIVATION = 255

_LARGEST_STEPS = 127
"""Of two weights of one sign, together. Rounded away from zero both, they make 128 at most, and
255 * 128 = 32,640 fits into int16."""


def weight_pairs(weight: NDArray[Any], axis: int = 0) -> NDArray[Any]:
    """Return the weights whose products a kernel adds up in int16, ``(channels, pairs, 2)``.

    Args:
        weight: of a Conv, ``(channels, inputs per group, ...)``, or of a Gemm; any type.
        axis: of the output channels.

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

    Args:
        weight: float, of a Conv, ``(channels, inputs per group, ...)``, or of a Gemm.
        axis: of the output channels.

    With this scale or a larger one, s8 codes and zero point 0, no activations make any pair
    overflow, however each weight is rounded: up, down or to the nearest code. A channel without two
    weights of one sign in a pair gets next to zero: any scale is good.
    """
    pairs = weight_pairs(np.asarray(weight, np.float64), axis)
    first, second = pairs[..., 0], pairs[..., 1]
    together = np.where(np.sign(first) == np.sign(second), np.abs(first + second), 0)
    scale: NDArray[np.float32] = (together.max(axis=1) / _LARGEST_STEPS).astype(np.float32)
    # The next float32 up: rounded down, the scale would leave the pair above its limit.
    return scale + np.spacing(scale)
