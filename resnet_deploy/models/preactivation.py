"""The blocks of v2: BatchNorm and ReLU in front of each convolution, nothing behind the Add.

He et al., "Identity Mappings in Deep Residual Networks" (arXiv:1603.05027), Fig. 4 (e). A
projection reads what the first BatchNorm and ReLU gave, as in the authors' code and in timm's
``models/resnetv2.py``.
"""

from __future__ import annotations

from torch import Tensor, nn

from resnet_deploy.models.blocks import BlockPlan
from resnet_deploy.models.convolutions import border, conv1x1, conv3x3, through
from resnet_deploy.models.resampling import antialias
from resnet_deploy.models.shortcuts import ZeroPadShortcut
from resnet_deploy.spec import Variant


class PreActBlock(nn.Module):
    """BatchNorm, ReLU, convolution: twice with 3x3, or 1x1, 3x3, 1x1.

    The first 3x3 strides, or in v1 the first 1x1, as in the authors' code.
    """

    def __init__(
        self, plan: BlockPlan, downsample: nn.Module | None, attention: nn.Module | None = None
    ) -> None:
        super().__init__()
        bottleneck = len(plan.widths) == 2
        self.strides_first = not bottleneck or plan.variant is Variant.V1
        self.aa = antialias(plan.pool, plan.stride)
        stride = plan.stride if self.aa is None else 1
        stride1, stride2 = (stride, 1) if self.strides_first else (1, stride)
        self.border = border(plan.padding, 3, stride2 if bottleneck else stride1)
        own = 1 if self.border is None else 0
        self.bn1 = nn.BatchNorm2d(plan.inputs)
        self.conv3: nn.Conv2d | None = None
        if bottleneck:
            first, second = plan.widths
            self.conv1 = conv1x1(plan.inputs, first, stride1)
            self.bn2 = nn.BatchNorm2d(first)
            self.conv2 = conv3x3(first, second, stride2, own, plan.groups)
            self.bn3 = nn.BatchNorm2d(second)
            self.conv3 = conv1x1(second, plan.outputs)
        else:
            (first,) = plan.widths
            self.conv1 = conv3x3(plan.inputs, first, stride1, own)
            self.bn2 = nn.BatchNorm2d(first)
            self.conv2 = conv3x3(first, plan.outputs)
        self.relu = nn.ReLU(inplace=True)
        self.se = attention
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        activated = self.relu(self.bn1(x))
        in_front = self.border if self.conv3 is None else None
        out = self.relu(self.bn2(self.conv1(through(in_front, activated))))
        if self.strides_first:
            out = through(self.aa, out)
        out = self.conv2(out if self.conv3 is None else through(self.border, out))
        if self.conv3 is not None:
            out = self.relu(self.bn3(out))
            if not self.strides_first:
                out = through(self.aa, out)
            out = self.conv3(out)
        # Zeros are added to the map itself: a ReLU in between would cut the identity.
        projects = self.downsample is not None and not isinstance(self.downsample, ZeroPadShortcut)
        return through(self.se, out) + through(self.downsample, activated if projects else x)
