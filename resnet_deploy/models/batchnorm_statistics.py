"""What a trained net's BatchNorms tell about its activations.

In training, BatchNorm gives every channel the mean 0 and the variance 1, then scales it by gamma
and moves it to beta. So its output has mean beta and standard deviation
``|gamma| sqrt(var / (var + eps))`` on images like those it was trained on (Nagel et al.,
arXiv:1906.04721, section 4.2.1). Folding hides these numbers in the convolution's weights: they
have to be read before.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from resnet_deploy.models.channel_statistics import ChannelStatistics
from resnet_deploy.models.fold import pair_batchnorms


def batchnorm_statistics(module: nn.Module) -> dict[str, ChannelStatistics]:
    """Return what each convolution of ``module`` gives once its BatchNorm is folded into it.

    The keys are the paths of the convolutions, such as ``layer1.0.conv1``. Convolutions without a
    BatchNorm of their own are left out, and so are those whose BatchNorm was never trained.
    """
    pairs, _ = pair_batchnorms(module)
    statistics = {}
    for name, convolution in pairs.items():
        norm = module.get_submodule(name)
        assert isinstance(norm, _BatchNorm), "pair_batchnorms pairs nothing else"
        if _has_seen_images(norm):
            statistics[convolution] = _of_output(norm)
    return statistics


def _has_seen_images(norm: _BatchNorm) -> bool:
    """Mean 0 and variance 1 in every channel is how a BatchNorm begins, not what images give."""
    assert norm.running_mean is not None, "pair_batchnorms leaves out a norm without statistics"
    assert norm.running_var is not None, "pair_batchnorms leaves out a norm without statistics"
    return bool((norm.running_mean != 0).any() or (norm.running_var != 1).any())


def _of_output(norm: _BatchNorm) -> ChannelStatistics:
    assert norm.running_var is not None, "_has_seen_images was asked before"
    var = norm.running_var.detach().double()
    std = torch.sqrt(var / (var + norm.eps))
    if norm.weight is not None:
        std = std * norm.weight.detach().double().abs()
    mean = torch.zeros_like(var) if norm.bias is None else norm.bias.detach().double()
    return ChannelStatistics(mean=_numpy(mean), std=_numpy(std))


def _numpy(values: Tensor) -> NDArray[np.float32]:
    return np.asarray(values.cpu().numpy(), np.float32)
