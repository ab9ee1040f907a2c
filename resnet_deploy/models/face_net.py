"""insightface's residual net for faces, which ends in an embedding.

Sources: J. Deng et al., ArcFace (arXiv:1801.07698), section 3.2; insightface's
``arcface_torch/backbones/iresnet.py``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from resnet_deploy.models.resnet import NetOptions, ResNet
from resnet_deploy.spec import Design


class IResNet(ResNet):
    """A residual net of these blocks, every stage of which halves its map.

    Behind them come a BatchNorm, one linear layer over all pixels and a BatchNorm: pictures have
    the size that this layer was made for, of 112 pixels as a rule. Input ``(N, C, H, W)`` float32;
    output ``(N, design.embedding)`` float32, or, with ``gives_maps`` set, the maps of all stages.
    """

    def __init__(self, design: Design, options: NetOptions, image_size: int) -> None:
        super().__init__(design, options)
        channels, side = design.stages[-1].channels, image_size // 2 ** len(design.stages)
        del self.relu
        self.prelu = nn.PReLU(design.stem[-1])
        self.bn2: nn.Module = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels * side**2, design.embedding)
        self.features: nn.Module = nn.BatchNorm1d(design.embedding)
        for layer in (self.bn2, self.features):
            layer.eps = options.bn_eps

    @property
    def activation(self) -> nn.Module:
        """What follows the stem's BatchNorm."""
        return self.prelu

    @property
    def parts(self) -> tuple[tuple[nn.Module, ...], ...]:
        """All that has weights, from the image to the embedding."""
        *body, _ = super().parts
        return (*body, (self.bn2, self.fc, self.features))

    def drop_head(self) -> None:
        """Leave out what stands behind the last map, in place; only maps are given then."""
        self.bn2 = self.fc = self.features = nn.Identity().eval()

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        maps = self.feature_maps(x)
        if self.gives_maps:
            return maps
        result: Tensor = self.features(self.fc(torch.flatten(self.bn2(maps[-1]), 1)))
        return result
