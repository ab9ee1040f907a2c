"""VGG-19 (Simonyan and Zisserman, arXiv:1409.1556, configuration E), without BatchNorm.

The reference net of the ResNet paper's Fig. 3 (left). State-dict keys are torchvision's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and number of 3x3 convolutions; a 2x2 max-pool ends each stage."""


class VGG19(nn.Module):
    """Sixteen 3x3 convolutions and three linear layers.

    Input ``(N, C, H, W)`` float32 with H and W at least 32, normalised; output
    ``(N, num_classes)`` float32 logits.
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential()
        in_planes = in_channels
        for planes, count in STAGES:
            for _ in range(count):
                self.features.append(nn.Conv2d(in_planes, planes, kernel_size=3, padding=1))
                self.features.append(nn.ReLU(inplace=True))
                in_planes = planes
            self.features.append(nn.MaxPool2d(kernel_size=2, stride=2))
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x))
        return self.classifier(torch.flatten(x, 1))
