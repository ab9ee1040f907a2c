"""What a trained net's BatchNorms tell about its activations.

In training, BatchNorm gives every channel the mean 0 and the variance 1, then scales it by gamma
and moves it to beta. So its output has mean beta and standard deviation
``|gamma| sqrt(var / (var + eps))`` on images like those it was trained on (Nagel et al.,
arXiv:1906.04721, section 4.2.1). Folding hides these numbers in the convolution's weights: they
have to be read before. Nothing here imports torch before it has a network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, eq=False)
class ChannelStatistics:
    """Mean and standard deviation of each channel over images and positions, float32 ``(C,)``."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]


def batchnorm_statistics(module: nn.Module) -> dict[str, ChannelStatistics]:
    """Return what each convolution of ``module`` gives once its BatchNorm is folded into it.

    The keys are the paths of the convolutions, such as ``layer1.0.conv1``. Convolutions without a
    BatchNorm of their own are left out, and so are those whose BatchNorm was never trained, or was
    folded and put back: it has the same variance everywhere.
    """
    from torch.nn.modules.batchnorm import _BatchNorm

    from resnet_deploy.models.fold import pair_batchnorms

    statistics = {}
    for name, convolution in pair_batchnorms(module)[0].items():
        norm = module.get_submodule(name)
        assert isinstance(norm, _BatchNorm), "pair_batchnorms pairs nothing else"
        values = {key: value.double().cpu().numpy() for key, value in norm.state_dict().items()}
        var = values["running_var"]
        if not values["running_mean"].any() and (var == var[:1]).all():
            continue  # not what images give
        std = np.sqrt(var / (var + norm.eps)) * np.abs(values.get("weight", 1.0))
        mean = values.get("bias", np.zeros_like(var))
        statistics[convolution] = ChannelStatistics(
            mean=mean.astype(np.float32), std=std.astype(np.float32)
        )
    return statistics
