"""Small nets written as tutorials write them, with names and habits of their own."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class _Extra(nn.Module):
    """Convolutions with a bias, and a projection called ``extra`` where channels change."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.extra = nn.Sequential()
        if inputs != outputs:
            self.extra = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.extra(x) + self.bn2(self.conv2(y)))


class _Left(nn.Module):
    """A Sequential called ``left``, and one called ``shortcut`` in front or behind."""

    def __init__(self, inputs: int, outputs: int, stride: int, name: str = "left") -> None:
        super().__init__()
        self.name = name
        branch = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.add_module(name, branch)
        self.shortcut = nn.Sequential()
        if inputs != outputs or stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = F.relu(self.shortcut(x) + self.get_submodule(self.name)(x))
        return y


class _Conv3(nn.Module):
    """All convolutions defined before the BatchNorms; the projection, ``conv3``, has none."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.conv3 = nn.Conv2d(inputs, outputs, 1, stride) if inputs != outputs else None
        self.bn1 = nn.BatchNorm2d(outputs)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.conv3 is None else self.conv3(x)))


class _PreActivated(nn.Module):
    """BatchNorm first, under names that no layout has."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm_a = nn.BatchNorm2d(inputs)
        self.conv_a = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm_b = nn.BatchNorm2d(outputs)
        self.conv_b = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv_b(F.relu(self.norm_b(self.conv_a(F.relu(self.norm_a(x))))))
        x = x[:, :, :: self.stride, :: self.stride]
        return y + F.pad(x, (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))


class _Tutorial(nn.Module):
    def __init__(self, stem: nn.Module, stages: Mapping[str, nn.Module], head: str) -> None:
        super().__init__()
        self.conv1 = stem
        for name, stage in stages.items():
            self.add_module(name, stage)
        self.stages, self.head = tuple(stages), head
        last = [m for m in self.modules() if isinstance(m, nn.BatchNorm2d)][-1].num_features
        self.add_module(head, nn.Linear(last, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))
        for name in self.stages:
            x = self.get_submodule(name)(x)
        logits: Tensor = self.get_submodule(self.head)(x.mean((2, 3)))
        return logits


def _stem(width: int, *, bias: bool, relu_between: bool = False) -> nn.Sequential:
    conv, norm = nn.Conv2d(3, width, 3, 1, 1, bias=bias), nn.BatchNorm2d(width)
    return nn.Sequential(conv, nn.ReLU(), norm) if relu_between else nn.Sequential(conv, norm)


def blk_net() -> nn.Module:
    """``blk1`` to ``blk3`` of one block or two with ``extra``, and ``outlayer``."""
    stages = {
        "blk1": nn.Sequential(_Extra(16, 16, 1)),
        "blk2": nn.Sequential(_Extra(16, 32, 2)),
        "blk3": nn.Sequential(_Extra(32, 64, 2)),
    }
    return _seen_pictures(_Tutorial(_stem(16, bias=True), stages, "outlayer"))


def widening_blk_net() -> nn.Module:
    """The lesson's own: the first block widens, and everything strides as its author likes."""
    stages = {f"blk{n}": _Extra(8 << n, 16 << n, 2) for n in range(1, 4)}
    return _seen_pictures(_Tutorial(_stem(16, bias=True), stages, "outlayer"))


def left_net(name: str = "left") -> nn.Module:
    """``left`` and ``shortcut`` in ``layer1`` to ``layer3``."""
    stages = {
        f"layer{n}": nn.Sequential(_Left(8 << max(n - 1, 1), 8 << n, 1 if n == 1 else 2, name))
        for n in range(1, 4)
    }
    stages["layer1"] = nn.Sequential(_Left(16, 16, 1, name))
    return _seen_pictures(_Tutorial(_stem(16, bias=False), stages, "fc"))


def conv3_net(*, relu_between: bool = False) -> nn.Module:
    """``conv3`` as projections; the stem may have its ReLU in front of the BatchNorm."""
    stages = {
        "b2": nn.Sequential(_Conv3(16, 16, 1)),
        "b3": nn.Sequential(_Conv3(16, 32, 2)),
        "b4": nn.Sequential(_Conv3(32, 64, 2)),
    }
    stem = _stem(16, bias=True, relu_between=relu_between)
    return _seen_pictures(_Tutorial(stem, stages, "out"))


def preactivated_net() -> nn.Module:
    """Convolutions and BatchNorms that take turns, the other way round."""
    stages = {
        f"group{n}": nn.Sequential(_PreActivated(i, o, s))
        for n, (i, o, s) in enumerate(((16, 16, 1), (16, 32, 2), (32, 64, 2)), start=1)
    }
    stages_and_norm = {**stages, "last": nn.BatchNorm2d(64)}
    stem = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
    return _seen_pictures(_Tutorial(stem, stages_and_norm, "fc"))


class _Chain(nn.Module):
    """Convolutions and BatchNorms one after the other, and no shortcut."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        inputs, self.count = 3, len(widths)
        for n, width in enumerate(widths, start=1):
            self.add_module(f"conv{n}", nn.Conv2d(inputs, width, 3, 1, 1, bias=False))
            self.add_module(f"bn{n}", nn.BatchNorm2d(width))
            inputs = width
        self.fc = nn.Linear(inputs, 10)

    def forward(self, x: Tensor) -> Tensor:
        for n in range(1, self.count + 1):
            x = F.relu(self.get_submodule(f"bn{n}")(self.get_submodule(f"conv{n}")(x)))
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


def plain_chain() -> nn.Module:
    """The shapes of a residual net with option A."""
    return _seen_pictures(_Chain((16, 16, 16, 32, 32, 64, 64)))


def _seen_pictures(net: nn.Module) -> nn.Module:
    """Give every BatchNorm statistics and weights of its own."""
    generator = torch.Generator().manual_seed(3)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            shape = module.weight.shape
            module.weight.data = 0.5 + torch.rand(shape, generator=generator)
            module.bias.data = 0.2 * torch.randn(shape, generator=generator)
            module.running_mean = 0.2 * torch.randn(shape, generator=generator)
            module.running_var = 0.5 + torch.rand(shape, generator=generator)
    return net.eval()
