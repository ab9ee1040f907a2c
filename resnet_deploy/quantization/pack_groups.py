"""Grouped int8 convolutions  =>  fewer and wider groups, with block-diagonal weights.

ONNX Runtime runs each group of a convolution as an im2col and a matrix product of its own. A group
of a ResNeXt has 4 to 32 channels: far too narrow for a kernel that computes 16 or more columns and
depths of 64 at once. ``n`` groups side by side are one group whose weights are zero off the
diagonal: ``n`` times the multiplications, and yet less time, up to the width that fills the kernel.
Codes stay what they are, so every sum is the same to the last bit.

Measured on a Xeon with AMX, one thread, the 3x3 convolutions of a ResNeXt-50 32x4d, microseconds by
channels per group (``bench/grouped.py``):

    128 at 56x56                 4: 4450   8: 2117   16: 1507   32: 887   64: 866
    256 at 56x56, stride 2                 8: 1113   16:  665   32: 484   64: 454   128: 553
    256 at 28x28                           8: 1013   16:  641   32: 401   64: 356   128: 467
    512 at 28x28, stride 2                           16:  351   32: 221   64: 188   128: 278
    512 at 14x14                                     16:  335   32: 215   64: 190   128: 250
    1024 at 7x7                                                 32: 127   64: 128   128: 166

32 channels are within a sixth of the best, with half the multiplications of 64, which CPUs without
AMX pay for. Depthwise convolutions have a kernel of their own, and groups of an odd number of
channels are left, because kernels that add up pairs pair others then.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from resnet_deploy.arrays import Array
from resnet_deploy.quantization.kernels import group_of
from resnet_deploy.quantization.weights import QuantizedWeights

_WIDTH = 32
"""Input channels per group that pay."""


def pack_groups(conv: ir.Node, weights: QuantizedWeights) -> tuple[int, QuantizedWeights]:
    """Return the number of groups of ``conv`` that pays, and its ``weights`` for that many."""
    groups, channels = group_of(conv), weights.weight.shape[1]
    packed = _together(groups, channels)
    if packed == 1:
        return groups, weights
    codes = block_diagonal(weights.weight, groups, packed, int(weights.zero_point[0]))
    return groups // packed, replace(weights, weight=codes)


def _together(groups: int, channels: int) -> int:
    """Return how many neighbours of ``groups`` of ``channels`` each become one."""
    if groups == 1 or channels % 2:
        return 1
    most = max(1, _WIDTH // channels)
    return max(count for count in range(1, min(most, groups) + 1) if groups % count == 0)


def block_diagonal(weight: Array, groups: int, packed: int, zero: int) -> Array:
    """Return ``weight`` ``(O, I, *kernel)`` of ``groups`` as ``(O, packed I, *kernel)``.

    Off the diagonal it holds ``zero``.
    """
    outputs, channels, *kernel = weight.shape
    wide = np.full((groups, outputs // groups, packed, channels, *kernel), zero, weight.dtype)
    each = weight.reshape(groups, outputs // groups, channels, *kernel)
    place = np.arange(groups)
    wide[place, :, place % packed] = each
    return wide.reshape(outputs, packed * channels, *kernel)
