"""Nets of a user's own, for ``--model``: good ones, and others."""

from __future__ import annotations

from typing import Any

import torch


def with_dropout(classes: int = 3) -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.5),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, classes),
    )


def with_seven() -> torch.nn.Module:
    return with_dropout(7)


def frozen() -> torch.nn.Module:
    return with_dropout().requires_grad_(False)


class TwoAnswers(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = with_dropout()

    def forward(self, x: torch.Tensor) -> Any:
        y = self.net(x)
        return (y, y) if self.training else y


class Narrow(TwoAnswers):
    def forward(self, x: torch.Tensor) -> Any:
        return self.net(x)[:, : 2 if self.training else 3]


class Refusing(TwoAnswers):
    def forward(self, x: torch.Tensor) -> Any:
        return self.net(x[:, : 2 if self.training else 3])


class Changing(torch.nn.Module):
    """A net whose code was changed between two runs."""

    wide = False

    def __init__(self) -> None:
        super().__init__()
        self.net = with_dropout()
        self.more = torch.nn.Linear(3, 3) if self.wide else torch.nn.Identity()

    def forward(self, x: torch.Tensor) -> Any:
        return self.more(self.net(x))
