"""The block of insightface's residual nets for faces: BatchNorm first, and PReLU.

Sources: J. Deng et al., ArcFace (arXiv:1801.07698), section 3.2, after D. Han et al., Deep
Pyramidal Residual Networks (arXiv:1610.02915); insightface's
``arcface_torch/backbones/iresnet.py``.
"""

from __future__ import annotations

from torch import Tensor, nn

from resnet_deploy.models.blocks import BlockPlan
from resnet_deploy.models.convolutions import conv3x3, through


class IResNetBlock(nn.Module):
    """BatchNorm, 3x3, BatchNorm, PReLU, a 3x3 that strides, BatchNorm; nothing behind the Add."""

    def __init__(
        self, plan: BlockPlan, downsample: nn.Module | None, attention: nn.Module | None = None
    ) -> None:
        super().__init__()
        (width,) = plan.widths
        self.bn1 = nn.BatchNorm2d(plan.inputs)
        self.conv1 = conv3x3(plan.inputs, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU(width)
        self.conv2 = conv3x3(width, plan.outputs, plan.stride)
        self.bn3 = nn.BatchNorm2d(plan.outputs)
        self.se = attention
        self.downsample = downsample

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The BatchNorm that the residual branch ends in."""
        return self.bn3

    def forward(self, x: Tensor) -> Tensor:
        out = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        out = self.bn3(self.conv2(out))
        return through(self.se, out) + through(self.downsample, x)
