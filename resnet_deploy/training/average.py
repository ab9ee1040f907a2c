"""The moving average of a network's weights, which is steadier than its last step."""

from __future__ import annotations

import copy

import torch
from torch import nn


class MovingAverage:
    """An exponential moving average of all weights and BatchNorm statistics.

    Args:
        module: what is averaged; the average starts as a copy of it.
        decay: share of the old average that every step keeps. Early steps keep less, so that the
            random weights of the start are forgotten: ``(1 + t) / (10 + t)`` after ``t`` steps
            (as TensorFlow's ExponentialMovingAverage with ``num_updates``).
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, steps: int) -> None:
        """Move the average towards ``module`` after its ``steps``-th update."""
        weight = 1 - min(self._decay, (1 + steps) / (10 + steps))
        new = module.state_dict()
        for name, old in self.module.state_dict().items():
            if old.is_floating_point():
                old.lerp_(new[name], weight)
            else:
                old.copy_(new[name])
