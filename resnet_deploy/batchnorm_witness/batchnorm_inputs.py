"""What BatchNorms are given on pictures, compared with what training left in them.

In training, a BatchNorm keeps a running mean and variance of each channel of its input (Ioffe and
Szegedy, arXiv:1502.03167). On pictures like those of the training, fed in the same way through the
same layers, its input has them again.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from resnet_deploy.models.tracing import ONE_AT_A_TIME

_LARGEST = 1e9
"""A divergence beyond all measure, so that one NaN or overflow stays a number."""


def witnesses(module: nn.Module) -> dict[str, _BatchNorm]:
    """Return, by path, the BatchNorms of ``module`` that remember something.

    A new one has mean 0 and variance 1 in every channel; one that was folded and put back
    (:func:`resnet_deploy.models.fold.unfold`) has the same variance everywhere as well.
    """
    return {
        name: child
        for name, child in module.named_modules()
        if isinstance(child, _BatchNorm)
        and child.running_mean is not None
        and child.running_var is not None
        and len(child.running_var) > 1
        and bool((child.running_var != child.running_var[0]).any())
    }


def divergences(
    module: nn.Module, batches: Iterable[Tensor], *, last: str | None = None
) -> dict[str, float]:
    """Return how far the input of each BatchNorm is from what it remembers, in running order.

    That is the Kullback-Leibler divergence, in nats, of two Gaussians, mean over channels. Both
    variances include the BatchNorm's epsilon, as what it divides by does: so channels that are
    dead do not count.

    Args:
        module: in eval mode.
        batches: its inputs, float32.
        last: the path of the BatchNorm after which nothing is computed.
    """
    norms = witnesses(module)
    moments: dict[str, Moments] = {}

    def look(name: str, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        moments.setdefault(name, Moments()).add(inputs[0])
        if name == last:
            raise _EnoughSeen

    hooks = [n.register_forward_pre_hook(partial(look, name)) for name, n in norms.items()]
    try:
        with torch.no_grad():
            for batch in batches:
                with ONE_AT_A_TIME, suppress(_EnoughSeen):
                    module(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: divergence(seen, norms[name]) for name, seen in moments.items()}


class _EnoughSeen(Exception):  # noqa: N818 - it is no error, it ends a forward pass early
    pass


class Moments:
    """Mean and variance of each channel of all that was added, in float64."""

    def __init__(self) -> None:
        self._count = 0
        self._sum = torch.zeros(0, dtype=torch.float64)
        self._squares = self._sum

    def add(self, x: Tensor) -> None:
        """Add ``x``, ``(N, C)`` or ``(N, C, ...)``.

        Each picture's map is summed in float32, which loses less than a picture more or less
        changes; ``torch.var_mean`` takes longer than the convolution before it.
        """
        maps = x.float().reshape(*x.shape[:2], -1)
        total = maps.sum(2).double().sum(0)
        squares = torch.linalg.vector_norm(maps, dim=2).double().square().sum(0)
        if self._count:
            total, squares = total + self._sum, squares + self._squares
        self._count += maps.shape[0] * maps.shape[2]
        self._sum, self._squares = total, squares

    @property
    def mean(self) -> Tensor:
        """Of each channel, ``(C,)``."""
        return self._sum / self._count

    @property
    def variance(self) -> Tensor:
        """Of the values, not an estimate of another population's, ``(C,)``."""
        return (self._squares / self._count - self.mean**2).clamp(min=0)


def divergence(seen: Moments, norm: _BatchNorm) -> float:
    """Return the divergence of ``seen`` from what ``norm`` remembers, mean over channels."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    epsilon = max(norm.eps, 1e-12)
    variance, known = seen.variance + epsilon, norm.running_var.double() + epsilon
    distance = (seen.mean - norm.running_mean.double()) ** 2
    each = 0.5 * ((variance + distance) / known - 1 - torch.log(variance / known))
    return float(torch.nan_to_num(each, nan=_LARGEST, posinf=_LARGEST).clamp(0, _LARGEST).mean())
