"""BatchNorm put back: the state of a network whose BatchNorms were folded and trained with.

A BatchNorm in evaluation multiplies by ``gamma / sqrt(var + eps)``. With gamma 1 and the variance
``1 - eps``, rounded to float32, this factor is 1 to within 2^-26 or so: multiplied in float64 and
rounded once, as :func:`resnet_deploy.models.fold.fold_weights` does, every float32 weight comes
back to its last bit. The bias becomes beta, and the mean is 0. The statistics are no longer those
of the layer's input: such a state is for evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

State = dict[str, Tensor]


@dataclass(frozen=True)
class FoldedNorm:
    """A BatchNorm's path, the convolution it was folded into, and its epsilon."""

    path: str
    convolution: str
    eps: float


def folded_norms(module: nn.Module, pairs: Mapping[str, str]) -> tuple[FoldedNorm, ...]:
    """Return the BatchNorms of ``module``; ``pairs`` are those of ``pair_batchnorms``."""
    return tuple(
        FoldedNorm(path, convolution, float(getattr(module.get_submodule(path), "eps")))  # noqa: B009
        for path, convolution in pairs.items()
    )


def unfold(state: State, folded: State, norms: tuple[FoldedNorm, ...]) -> State:
    """Return ``state`` with the weights of ``folded``, such that folding gives these exactly.

    Args:
        state: of the network with its BatchNorms; its keys stay.
        folded: weights and biases of all convolutions and linear layers, float32.
        norms: what was folded.
    """
    result = {
        key: folded[key].detach().clone() if key in folded else value.clone()
        for key, value in state.items()
    }
    for norm in norms:
        bias = folded[f"{norm.convolution}.bias"].detach()
        mean, variance = f"{norm.path}.running_mean", f"{norm.path}.running_var"
        result[mean] = torch.zeros_like(bias)
        result[variance] = torch.full_like(bias, 1 - norm.eps)
        if f"{norm.path}.weight" in state:
            result[f"{norm.path}.weight"] = torch.ones_like(bias)
            result[f"{norm.path}.bias"] = bias.clone()
        else:  # without an offset of its own, the mean takes it
            result[mean] = -bias
        if f"{norm.convolution}.bias" in state:
            result[f"{norm.convolution}.bias"] = torch.zeros_like(bias)
    return result
