"""The two blocks of the paper's Fig. 5, with what later nets put into them.

He et al., "Deep Residual Learning for Image Recognition" (arXiv:1512.03385). ResNeXt's grouped 3x3
and the widths of Wide ResNets are numbers of the same blocks; attention has a module of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from resnet_deploy.models.convolutions import border, conv1x1, conv3x3, through
from resnet_deploy.models.resampling import antialias
from resnet_deploy.spec import Padding, Pool, Variant


@dataclass(frozen=True, kw_only=True)
class BlockPlan:
    """The numbers of one block.

    Args:
        inputs: channels of the map that it is given.
        widths: what its convolutions but the last one give.
        outputs: what it gives.
        stride: of the map.
        groups: of a bottleneck's 3x3.
        variant: where a bottleneck strides.
        plain: without a shortcut.
        padding: where windows that stride lie.
        pool: how a map is halved.
    """

    inputs: int
    widths: tuple[int, ...]
    outputs: int
    stride: int = 1
    groups: int = 1
    variant: Variant = Variant.V1_5
    plain: bool = False
    padding: Padding = Padding.TORCH
    pool: Pool = Pool.PLAIN


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around an identity (Fig. 5, left).

    Where maps are filtered before they are halved, ``aa`` strides behind the first of them and its
    ReLU. With TF's padding ``border`` stands in front of a 3x3 that strides.
    """

    def __init__(
        self, plan: BlockPlan, downsample: nn.Module | None, attention: nn.Module | None = None
    ) -> None:
        super().__init__()
        (width,) = plan.widths
        self.aa = antialias(plan.pool, plan.stride)
        stride = plan.stride if self.aa is None else 1
        self.border = border(plan.padding, 3, stride)
        self.conv1 = conv3x3(plan.inputs, width, stride, 1 if self.border is None else 0)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, plan.outputs)
        self.bn2 = nn.BatchNorm2d(plan.outputs)
        self.se = attention
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.plain = plan.plain

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The BatchNorm that the residual branch ends in."""
        return self.bn2

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(through(self.border, x))))
        out = through(self.se, self.bn2(self.conv2(through(self.aa, out))))
        if self.plain:
            return self.relu(out)
        return self.relu(out + through(self.downsample, x))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions; the last has four times the channels (Fig. 5, right).

    v1 (the paper) strides the first 1x1; v1.5 (torchvision, NVIDIA) strides the 3x3. Where maps are
    filtered before they are halved, ``aa`` strides behind that convolution and its ReLU. With TF's
    padding ``border`` stands in front of a 3x3 that strides.
    """

    def __init__(
        self, plan: BlockPlan, downsample: nn.Module | None, attention: nn.Module | None = None
    ) -> None:
        super().__init__()
        first, second = plan.widths
        self.aa = antialias(plan.pool, plan.stride)
        self.aa_is_first = plan.variant is Variant.V1
        stride = plan.stride if self.aa is None else 1
        stride1, stride2 = (stride, 1) if plan.variant is Variant.V1 else (1, stride)
        self.border = border(plan.padding, 3, stride2)
        self.conv1 = conv1x1(plan.inputs, first, stride1)
        self.bn1 = nn.BatchNorm2d(first)
        own = 1 if self.border is None else 0
        self.conv2 = conv3x3(first, second, stride2, own, plan.groups)
        self.bn2 = nn.BatchNorm2d(second)
        self.conv3 = conv1x1(second, plan.outputs)
        self.bn3 = nn.BatchNorm2d(plan.outputs)
        self.se = attention
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.plain = plan.plain

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The BatchNorm that the residual branch ends in."""
        return self.bn3

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        if self.aa_is_first:
            out = through(self.aa, out)
        out = self.relu(self.bn2(self.conv2(through(self.border, out))))
        if not self.aa_is_first:
            out = through(self.aa, out)
        out = through(self.se, self.bn3(self.conv3(out)))
        if self.plain:
            return self.relu(out)
        return self.relu(out + through(self.downsample, x))
