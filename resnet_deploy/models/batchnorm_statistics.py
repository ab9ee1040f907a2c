"""What a trained net's BatchNorms tell about its activations.

In training, BatchNorm gives every channel the mean 0 and the variance 1, then scales it by gamma
and moves it to beta. So its output has mean beta and standard deviation
``|gamma| sqrt(var / (var + eps))`` on images like those it was trained on (Nagel et al.,
arXiv:1906.04721, section 4.2.1). Folding hides these numbers in the convolution's weights: they
have to be read before.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from resnet_deploy.models.channel_statistics import ChannelStatistics
from resnet_deploy.models.fold import pair_batchnorms


@torch.no_grad()
def batchnorm_statistics(module: nn.Module) -> dict[str, ChannelStatistics]:
    """Return what each convolution of ``module`` gives once its BatchNorm is folded into it.

    The keys are the paths of the convolutions, such as ``layer1.0.conv1``. Convolutions without a
    BatchNorm of their own are left out, and so are those whose BatchNorm was never trained.
    """
    statistics = {}
    for name, convolution in pair_batchnorms(module)[0].items():
        norm = module.get_submodule(name)
        assert isinstance(norm, _BatchNorm), "pair_batchnorms pairs nothing else"
        running_mean, running_var = norm.running_mean, norm.running_var
        assert running_mean is not None, "pair_batchnorms leaves out a norm without statistics"
        assert running_var is not None, "pair_batchnorms leaves out a norm without statistics"
        if not running_mean.any() and bool((running_var == 1).all()):
            continue  # this is how a BatchNorm begins, not what images give
        var = running_var.double()
        std = torch.sqrt(var / (var + norm.eps))
        if norm.weight is not None:
            std = std * norm.weight.double().abs()
        mean = torch.zeros_like(var) if norm.bias is None else norm.bias.double()
        statistics[convolution] = ChannelStatistics(
            mean=mean.float().cpu().numpy(), std=std.float().cpu().numpy()
        )
    return statistics
