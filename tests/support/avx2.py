"""The int8 arithmetic of x86 CPUs without VNNI, slow and exact."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def pair_sums(
    codes: NDArray[Any],
    weight: NDArray[Any],
    *,
    group: int = 1,
    strides: tuple[int, int] = (1, 1),
    dilations: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    zero_point: int = 0,
) -> NDArray[np.int64]:
    """Return the exact sums of two products of a convolution, ``(N, channels, H, W, pairs)``.

    ``codes`` are u8 ``(N, C, H, W)``, ``weight`` s8 ``(channels, C / group, kh, kw)``.
    """
    channels, inputs, kh, kw = weight.shape
    around = ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3]))
    padded = np.pad(codes.astype(np.int64), around, constant_values=zero_point)
    height = (padded.shape[2] - dilations[0] * (kh - 1) - 1) // strides[0] + 1
    width = (padded.shape[3] - dilations[1] * (kw - 1) - 1) // strides[1] + 1
    sums = np.zeros((len(codes), channels, height, width, (inputs * kh * kw + 1) // 2), np.int64)
    for channel in range(channels):
        start = channel // (channels // group) * inputs
        depth = 0
        for y in range(kh):
            for x in range(kw):
                for one in range(inputs):
                    top, left = y * dilations[0], x * dilations[1]
                    plane = padded[:, start + one, top :: strides[0], left :: strides[1]]
                    product = plane[:, :height, :width] * int(weight[channel, one, y, x])
                    sums[:, channel, :, :, depth // 2] += product
                    depth += 1
    return sums


def saturated(sums: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the results that the kernel computes from its pair sums."""
    clipped: NDArray[np.int64] = np.clip(sums, -32768, 32767).sum(axis=-1)
    return clipped
