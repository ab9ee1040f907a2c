"""What a block's shortcut does where the shape changes: options A, B and C, and average pools."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from resnet_deploy.models.resampling import MeanPool2d
from resnet_deploy.spec import Design, Downsample, Order, Shortcut


class ZeroPadShortcut(nn.Module):
    """Option A of the paper: identity, subsampled, with extra channels of zeros.

    ``(N, C, H, W) -> (N, planes, ceil(H / stride), ceil(W / stride))``. It has no parameters.
    The zeros are split evenly before and after the channels, as the published CIFAR checkpoints of
    this package were trained, or, with ``at_end``, all lie behind. For a net trained from scratch
    the split makes no difference; a trained one works with its own alone.
    """

    def __init__(self, in_planes: int, planes: int, stride: int, *, at_end: bool = False) -> None:
        super().__init__()
        before = 0 if at_end else (planes - in_planes) // 2
        self.channel_pad = (before, planes - in_planes - before)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, *self.channel_pad))


def shortcut(
    kind: Shortcut, design: Design, in_planes: int, planes: int, stride: int
) -> nn.Module | None:
    """Return what the shortcut of a block applies to its input; None is the identity."""
    changes_shape = stride != 1 or in_planes != planes
    if kind is Shortcut.C or (kind is Shortcut.B and changes_shape):
        return _projection(design, in_planes, planes, stride)
    if not changes_shape:
        return None
    return ZeroPadShortcut(in_planes, planes, stride, at_end=kind is Shortcut.A_END)


def _projection(design: Design, in_planes: int, planes: int, stride: int) -> nn.Module:
    """Return a convolution and its BatchNorm, which v2 has in front of the block.

    With an average pool in front, the convolution keeps its name in v2, and moves on by one
    otherwise, as in timm.
    """
    average = design.downsample is Downsample.AVG
    kernel = design.projection_kernel if stride > 1 and not average else 1
    conv = nn.Conv2d(
        in_planes,
        planes,
        kernel_size=kernel,
        stride=1 if average else stride,
        padding=kernel // 2,
        bias=False,
    )
    pool = MeanPool2d(uneven=True) if average and stride > 1 else nn.Identity()
    result = nn.Sequential()
    if design.order is Order.PRE:
        if average:
            result.add_module("pool", pool)
        result.add_module("0", conv)
        return result
    return nn.Sequential(*([pool] if average else []), conv, nn.BatchNorm2d(planes))
