"""What stands in front of the first block: one convolution or three, and a pool.

Sources: Table 1 and section 4.2 of the paper; the C, D, S and T stems of timm's
``models/resnet.py``; ResNet-RS (arXiv:2103.07579), which pools with a convolution.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from resnet_deploy.models.convolutions import border, conv3x3
from resnet_deploy.models.resampling import antialias, stem_pool
from resnet_deploy.spec import Padding, Pool, Stem


def stem_convolutions(
    channels: Sequence[int], in_channels: int, stem: Stem, padding: Padding
) -> nn.Module:
    """Return the stem without its last BatchNorm.

    One convolution, of 7x7 and stride 2 or, for small pictures, 3x3; or three of 3x3, the first of
    stride 2, with BatchNorm and ReLU between them.
    """
    stride = 2 if stem is Stem.IMAGENET else 1
    own = 0 if border(padding, 3, stride) is not None else 1
    if len(channels) == 1:
        if stem is not Stem.IMAGENET:
            return conv3x3(in_channels, channels[0])
        return nn.Conv2d(
            in_channels, channels[0], kernel_size=7, stride=2, padding=3 * own, bias=False
        )
    first, second, third = channels
    return nn.Sequential(
        conv3x3(in_channels, first, stride, own),
        nn.BatchNorm2d(first),
        nn.ReLU(inplace=True),
        conv3x3(first, second),
        nn.BatchNorm2d(second),
        nn.ReLU(inplace=True),
        conv3x3(second, third),
    )


def stem_border(channels: Sequence[int], stem: Stem, padding: Padding) -> nn.Module | None:
    """Return what stands in front of :func:`stem_convolutions`; None: they pad by themselves."""
    kernel = 7 if len(channels) == 1 else 3
    return border(padding, kernel, 2) if stem is Stem.IMAGENET else None


def convolution_pool(channels: int, padding: Padding, pool: Pool) -> nn.Module:
    """Return ResNet-RS's pool: a 3x3 convolution of stride 2, BatchNorm and ReLU."""
    filtered = antialias(pool, 2)
    in_front = border(padding, 3, 2) if filtered is None else None
    result = nn.Sequential()
    if in_front is not None:
        result.add_module("border", in_front)
    stride, own = (2 if filtered is None else 1), (1 if in_front is None else 0)
    layers: list[nn.Module] = [conv3x3(channels, channels, stride, own)]
    layers += [] if filtered is None else [filtered]
    for i, layer in enumerate((*layers, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))):
        result.add_module(str(i), layer)
    return result


def pool_behind(stem: Stem, padding: Padding, pool: Pool) -> nn.Module | None:
    """Return the max-pool behind the stem, or what stands for it; None: there is none."""
    return None if stem is Stem.CIFAR else stem_pool(pool, padding)
