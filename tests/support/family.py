"""Small nets with the parts that came after the paper, as PyTorch code has them.

They are written as timm, torchvision and insightface write theirs, not as this project's family
is: what arrives through ``--model package.module:factory`` looks like this.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Make = Callable[[int], nn.Module]
"""From a number of channels to a module."""

BlockMaker = Callable[[int, int, int], nn.Module]
"""From input channels, width and stride to a block of twice the width."""


class SqueezeExcite(nn.Module):
    """Hu et al., arXiv:1709.01507, with 1x1 convolutions as timm has it."""

    def __init__(self, channels: int, gate: nn.Module | None = None) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, max(4, channels // 4), 1)
        self.fc2 = nn.Conv2d(max(4, channels // 4), channels, 1)
        self.gate = nn.Sigmoid() if gate is None else gate

    def forward(self, x: Tensor) -> Tensor:
        s = self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True))))
        result: Tensor = x * self.gate(s)
        return result


class LinearSqueezeExcite(nn.Module):
    """The same with linear layers and views, as in many tutorials."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // 4),
            nn.ReLU(inplace=True),
            nn.Linear(channels // 4, channels),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        batch, channels = x.shape[:2]
        s = self.fc(self.pool(x).view(batch, channels)).view(batch, channels, 1, 1)
        result: Tensor = x * s.expand_as(x)
        return result


class EfficientAttention(nn.Module):
    """Wang et al., ECA-Net (arXiv:1910.03151), as timm has it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x.mean((2, 3)).view(x.shape[0], 1, -1))
        result: Tensor = x * y.view(x.shape[0], -1, 1, 1).sigmoid().expand_as(x)
        return result


class EfficientAttention2(nn.Module):
    """The same as the paper's own code has it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.pool(x)
        y = self.conv(y.squeeze(-1).transpose(-1, -2)).transpose(-1, -2).unsqueeze(-1)
        return x * torch.sigmoid(y).expand_as(x)


class BlurPool(nn.Module):
    """Zhang, arXiv:1904.11486, as timm has it: a reflected border and a binomial filter."""

    filt: Tensor

    def __init__(self, channels: int, stride: int = 2) -> None:
        super().__init__()
        row = torch.tensor([0.25, 0.5, 0.25])
        self.register_buffer("filt", (row[:, None] * row).expand(channels, 1, 3, 3).clone())
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(x, self.filt, stride=self.stride, groups=x.shape[1])


class Gem(nn.Module):
    """Generalised-mean pooling, Radenovic et al., arXiv:1711.02512."""

    def __init__(self, p: float = 3.0) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor(p))

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x.clamp(min=1e-6).pow(self.p), x.shape[2:]).pow(1.0 / self.p)


def _relu(channels: int) -> nn.Module:
    return nn.ReLU()


class Block(nn.Module):
    """A bottleneck of ``width``, with what its arguments make."""

    def __init__(
        self,
        inputs: int,
        width: int,
        stride: int,
        *,
        groups: int = 1,
        activation: Make = _relu,
        attention: Make | None = None,
        antialias: Make | None = None,
        average: bool = False,
    ) -> None:
        super().__init__()
        outputs = 2 * width
        plain = antialias is None or stride == 1
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.act1 = activation(width)
        own = stride if plain else 1
        self.conv2 = nn.Conv2d(width, width, 3, own, 1, groups=groups, bias=False)
        self.bn2, self.act2 = nn.BatchNorm2d(width), activation(width)
        self.aa = nn.Identity() if plain or antialias is None else antialias(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.se = nn.Identity() if attention is None else attention(outputs)
        self.act3 = activation(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            pool = nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False)
            self.downsample = nn.Sequential(
                pool if average and stride != 1 else nn.Identity(),
                nn.Conv2d(inputs, outputs, 1, 1 if average else stride, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.bn1(self.conv1(x)))
        y = self.aa(self.act2(self.bn2(self.conv2(y))))
        y = self.se(self.bn3(self.conv3(y)))
        result: Tensor = self.act3(y + self.downsample(x))
        return result


class PreActivated(nn.Module):
    """He et al., arXiv:1603.05027, a bottleneck; the projection reads the first activation."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 2 * width
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, width, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn3, self.conv3 = nn.BatchNorm2d(width), nn.Conv2d(width, outputs, 1, bias=False)
        same = stride == 1 and inputs == outputs
        self.downsample = None if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(x))
        shortcut = x if self.downsample is None else self.downsample(y)
        y = F.relu(self.bn2(self.conv1(y)))
        y = F.relu(self.bn3(self.conv2(y)))
        result: Tensor = self.conv3(y) + shortcut
        return result


class FaceBlock(nn.Module):
    """insightface's IBasicBlock: BatchNorm in front, PReLU between, no activation behind."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 2 * width
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1, self.bn2 = nn.Conv2d(inputs, outputs, 3, 1, 1), nn.BatchNorm2d(outputs)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        result: Tensor = self.bn3(self.conv2(y)) + self.downsample(x)
        return result


class DenseBlock(nn.Module):
    """Huang et al., arXiv:1608.06993: two layers and a transition."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, width, 3, 1, 1)
        self.norm2 = nn.BatchNorm2d(inputs + width)
        self.conv2 = nn.Conv2d(inputs + width, width, 3, 1, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(inputs + 2 * width)
        self.transition = nn.Conv2d(inputs + 2 * width, 2 * width, 1, bias=False)
        self.pool = nn.AvgPool2d(2, 2) if stride == 2 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x, self.conv1(F.relu(self.norm1(x)))], 1)
        x = torch.cat([x, self.conv2(F.relu(self.norm2(x)))], 1)
        result: Tensor = self.pool(self.transition(F.relu(self.norm3(x))))
        return result


class InvertedResidual(nn.Module):
    """MobileNetV3's block, arXiv:1905.02244: hard sigmoid gate, hard swish, depthwise."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 5, stride, 2, groups=width, bias=False)
        self.bn2, self.se = nn.BatchNorm2d(width), SqueezeExcite(width, nn.Hardsigmoid())
        self.conv3 = nn.Conv2d(width, 2 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(2 * width)

    def forward(self, x: Tensor) -> Tensor:
        y = F.hardswish(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(self.se(F.hardswish(self.bn2(self.conv2(y))))))
        result: Tensor = y + x if y.shape == x.shape else y
        return result


class Net(nn.Module):
    """A stem, a block of each of ``makers`` (inputs, width, stride), a pool and a linear layer."""

    def __init__(
        self,
        makers: tuple[BlockMaker, BlockMaker, BlockMaker],
        *,
        stem: nn.Module | None = None,
        last: nn.Module | None = None,
        pool: nn.Module | None = None,
    ) -> None:
        super().__init__()
        plain = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.stem = plain if stem is None else stem
        shapes = ((16, 16, 1), (32, 16, 1), (32, 32, 2))
        self.blocks = nn.Sequential(
            *(make(*shape) for make, shape in zip(makers, shapes, strict=True))
        )
        self.last = nn.Identity() if last is None else last
        self.pool = nn.AdaptiveAvgPool2d(1) if pool is None else pool
        self.fc = nn.Linear(64, 10)
        _seed(self)

    def forward(self, x: Tensor) -> Tensor:
        y = self.pool(self.last(self.blocks(self.stem(x))))
        result: Tensor = self.fc(torch.flatten(y, 1))
        return result


def _seed(net: nn.Module) -> None:
    """Give ``net`` weights that keep the signal's size, and BatchNorms that do something."""
    random = torch.Generator().manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            fan_in = math.prod(module.weight.shape[1:])
            nn.init.normal_(module.weight, std=math.sqrt(2 / fan_in), generator=random)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1, generator=random)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.3, 0.9, generator=random)
            nn.init.normal_(module.bias, std=0.1, generator=random)
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.1, generator=random)
            nn.init.uniform_(module.running_var, 0.5, 1.5, generator=random)
        elif isinstance(module, nn.PReLU):
            nn.init.uniform_(module.weight, 0.05, 0.6, generator=random)


def attention_net() -> nn.Module:
    """Squeeze-and-excitation by convolutions, by linear layers, and ECA."""
    return Net(
        (
            partial(Block, attention=SqueezeExcite),
            partial(Block, attention=LinearSqueezeExcite),
            partial(Block, attention=EfficientAttention),
        )
    )


def sampling_net() -> nn.Module:
    """A stem of two, ECA as its paper has it, average shortcuts, groups, and blur pooling."""
    stem = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, 1, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AvgPool2d(2, 2),
    )
    return Net(
        (
            partial(Block, attention=EfficientAttention2),
            partial(Block, groups=8),
            partial(Block, antialias=BlurPool, average=True),
        ),
        stem=stem,
    )


def norm_first_net() -> nn.Module:
    """BatchNorms without a convolution in front: a v2, an iResNet and a DenseNet block."""
    last = nn.Sequential(nn.BatchNorm2d(64), nn.ReLU())
    return Net((PreActivated, FaceBlock, DenseBlock), last=last)


def activation_net() -> nn.Module:
    """SiLU, LeakyReLU, and MobileNetV3's hard ones."""
    stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.Hardswish())
    return Net(
        (
            partial(Block, activation=lambda _: nn.SiLU()),
            partial(Block, activation=lambda _: nn.LeakyReLU(0.1)),
            InvertedResidual,
        ),
        stem=stem,
    )


def gem_net() -> nn.Module:
    """Plain blocks and a generalised mean."""
    return Net((Block, Block, Block), pool=Gem())
