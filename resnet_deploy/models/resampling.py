"""How maps are halved other than by a stride with even borders; none of it has parameters.

Sources: TensorFlow's ``SAME`` padding (https://www.tensorflow.org/api_docs/python/tf/nn); R. Zhang,
Making Convolutional Networks Shift-Invariant Again (arXiv:1904.11486), in the form that timm's
``resnetblur50`` and ``resnetaa50`` give it (``timm/models/resnet.py``, ``aa_layer``).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_deploy.spec import Padding, Pool

_BINOMIAL = (0.25, 0.5, 0.25)
_LAST_TWO = (0.0, 0.5, 0.5)


class SameBorder(nn.Module):
    """What TensorFlow's ``SAME`` adds around a map in front of a window that strides.

    ``(N, C, H, W)`` gains just enough rows and columns for ``ceil(size / stride)`` results; an odd
    one goes behind. They hold ``value``.
    """

    def __init__(self, kernel: int, stride: int, value: float = 0.0) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        top, bottom = self._sides(x.shape[2])
        left, right = self._sides(x.shape[3])
        return F.pad(x, (left, right, top, bottom), value=self.value)

    def _sides(self, size: int) -> tuple[int, int]:
        total = max((math.ceil(size / self.stride) - 1) * self.stride + self.kernel - size, 0)
        return total // 2, total - total // 2


class BlurPool2d(nn.Module):
    """A binomial 3x3 filter per channel on a map that is mirrored at its edges, then a stride.

    ``(N, C, H, W) -> (N, C, ceil(H / stride), ceil(W / stride))``; both sides need two pixels.
    """

    def __init__(self, stride: int = 2) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        # Slices and not F.pad: ONNX Runtime joins slices in int8, and mirrors in float alone.
        for axis in (2, 3):
            last = x.shape[axis] - 1
            x = torch.cat((x.narrow(axis, 1, 1), x, x.narrow(axis, last - 1, 1)), axis)
        row = x.new_tensor(_BINOMIAL)
        return _each_channel(x, row[:, None] * row, self.stride)


class MeanPool2d(nn.Module):
    """The mean of 2x2 pixels, ``(N, C, H, W) -> (N, C, H / 2, W / 2)``; both sides are even.

    As a convolution of 3x3 with zeros in front: ONNX Runtime's int8 average pool, and its int8
    convolution of 2x2, take more time than the rest of the net. ``uneven`` maps are rounded up: at
    the edge the mean is of the pixels that are there, as ``AvgPool2d(2, 2, ceil_mode=True,
    count_include_pad=False)``, which timm's D shortcuts have.
    """

    def __init__(self, *, uneven: bool = False) -> None:
        super().__init__()
        self.uneven = uneven

    def forward(self, x: Tensor) -> Tensor:
        for axis in (2, 3):
            if x.shape[axis] % 2 and self.uneven:
                # The mean of a pixel and itself is that of the pixel alone.
                x = torch.cat((x, x.narrow(axis, x.shape[axis] - 1, 1)), axis)
        if x.shape[2] % 2 or x.shape[3] % 2:
            raise ValueError(f"a map of {x.shape[2]}x{x.shape[3]} pixels has no halves")
        row = x.new_tensor(_LAST_TWO)
        return _each_channel(x, row[:, None] * row, 2, padding=1)


def _each_channel(x: Tensor, kernel: Tensor, stride: int, padding: int = 0) -> Tensor:
    channels = x.shape[1]
    weight = kernel.expand(channels, 1, *kernel.shape)
    return F.conv2d(x, weight, stride=stride, padding=padding, groups=channels)


def antialias(pool: Pool, stride: int) -> nn.Module | None:
    """Return what follows a convolution in place of its ``stride``; None: the stride stays."""
    if pool is Pool.PLAIN or stride == 1:
        return None
    return BlurPool2d(stride) if pool is Pool.BLUR else MeanPool2d()


def stem_pool(pool: Pool, padding: Padding) -> nn.Module:
    """Return the stem's 3x3 max-pool of stride 2, or what stands for it."""
    if pool is Pool.AVG:
        return MeanPool2d()
    if pool is Pool.BLUR:
        return nn.Sequential(nn.MaxPool2d(kernel_size=3, stride=1, padding=1), BlurPool2d())
    if padding is Padding.CAFFE:
        return nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
    if padding is Padding.TF:
        return nn.Sequential(SameBorder(3, 2, -math.inf), nn.MaxPool2d(kernel_size=3, stride=2))
    return nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
