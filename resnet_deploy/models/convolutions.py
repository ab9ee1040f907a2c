"""The convolutions of residual nets, and what stands in front of one that strides."""

from __future__ import annotations

from torch import Tensor, nn

from resnet_deploy.models.resampling import SameBorder
from resnet_deploy.spec import Padding


def conv3x3(
    in_planes: int, planes: int, stride: int = 1, padding: int = 1, groups: int = 1
) -> nn.Conv2d:
    """A 3x3 convolution, by default with padding 1; BatchNorm follows, so it has no bias."""
    return nn.Conv2d(
        in_planes, planes, kernel_size=3, stride=stride, padding=padding, groups=groups, bias=False
    )


def conv1x1(in_planes: int, planes: int, stride: int = 1) -> nn.Conv2d:
    """A 1x1 convolution; BatchNorm follows, so it has no bias."""
    return nn.Conv2d(in_planes, planes, kernel_size=1, stride=stride, bias=False)


def border(padding: Padding, kernel: int, stride: int) -> SameBorder | None:
    """Return what stands in front of a window; None where it pads both sides alike by itself."""
    return SameBorder(kernel, stride) if padding is Padding.TF and stride > 1 else None


def through(layer: nn.Module | None, x: Tensor) -> Tensor:
    """Return ``layer(x)``, or ``x`` where there is no layer."""
    if layer is None:
        return x
    result: Tensor = layer(x)
    return result
