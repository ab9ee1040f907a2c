"""ResNets as in He et al., "Deep Residual Learning for Image Recognition" (arXiv:1512.03385).

Table 1 of the paper (ImageNet) and section 4.2 (CIFAR-10), with the paper's names:
``conv1``, ``layer1`` to ``layer4`` (conv2_x to conv5_x), ``downsample`` (the projection
shortcut) and ``fc``. State-dict keys are torchvision's, so its checkpoints load unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_deploy.models.resampling import BlurPool2d, SameBorder, antialias, stem_pool
from resnet_deploy.spec import BATCHNORM_EPS, Padding, Pool, Shortcut, Stem, Variant


def conv3x3(in_planes: int, planes: int, stride: int = 1, padding: int = 1) -> nn.Conv2d:
    """A 3x3 convolution, by default with padding 1; BatchNorm follows, so it has no bias."""
    return nn.Conv2d(in_planes, planes, kernel_size=3, stride=stride, padding=padding, bias=False)


def conv1x1(in_planes: int, planes: int, stride: int = 1) -> nn.Conv2d:
    """A 1x1 convolution; BatchNorm follows, so it has no bias."""
    return nn.Conv2d(in_planes, planes, kernel_size=1, stride=stride, bias=False)


class ZeroPadShortcut(nn.Module):
    """Option A of the paper: identity, subsampled, with extra channels of zeros.

    ``(N, C, H, W) -> (N, planes, ceil(H / stride), ceil(W / stride))``. It has no parameters.
    The zeros are split evenly before and after the channels, as the published CIFAR checkpoints of
    this package were trained, or, with ``at_end``, all lie behind. For a net trained from scratch
    the split makes no difference; a trained one works with its own alone.
    """

    def __init__(self, in_planes: int, planes: int, stride: int, *, at_end: bool = False) -> None:
        super().__init__()
        before = 0 if at_end else (planes - in_planes) // 2
        self.channel_pad = (before, planes - in_planes - before)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, *self.channel_pad))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around an identity (Fig. 5, left).

    Where ``pool`` is not plain, ``aa`` strides behind the first of them and its ReLU. With TF's
    padding ``border`` stands in front of a 3x3 that strides.
    """

    expansion = 1

    def __init__(
        self,
        in_planes: int,
        planes: int,
        stride: int,
        downsample: nn.Module | None,
        *,
        variant: Variant = Variant.V1_5,
        plain: bool = False,
        padding: Padding = Padding.TORCH,
        pool: Pool = Pool.PLAIN,
    ) -> None:
        super().__init__()
        self.aa = antialias(pool, stride)
        stride = stride if self.aa is None else 1
        self.border = _border(padding, 3, stride)
        self.conv1 = conv3x3(in_planes, planes, stride, 1 if self.border is None else 0)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.plain = plain

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(_through(self.border, x))))
        out = self.bn2(self.conv2(_through(self.aa, out)))
        if self.plain:
            return self.relu(out)
        identity = x if self.downsample is None else self.downsample(x)
        return self.relu(out + identity)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions; the last has four times the channels (Fig. 5, right).

    v1 (the paper) strides the first 1x1; v1.5 (torchvision, NVIDIA) strides the 3x3. Where ``pool``
    is not plain, ``aa`` strides behind that convolution and its ReLU. With TF's padding ``border``
    stands in front of a 3x3 that strides.
    """

    expansion = 4

    def __init__(
        self,
        in_planes: int,
        planes: int,
        stride: int,
        downsample: nn.Module | None,
        *,
        variant: Variant = Variant.V1_5,
        plain: bool = False,
        padding: Padding = Padding.TORCH,
        pool: Pool = Pool.PLAIN,
    ) -> None:
        super().__init__()
        self.aa = antialias(pool, stride)
        self.aa_is_first = variant is Variant.V1
        stride = stride if self.aa is None else 1
        stride1, stride2 = (stride, 1) if variant is Variant.V1 else (1, stride)
        self.border = _border(padding, 3, stride2)
        self.conv1 = conv1x1(in_planes, planes, stride1)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = conv3x3(planes, planes, stride2, 1 if self.border is None else 0)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = conv1x1(planes, planes * self.expansion)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.plain = plain

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        if self.aa_is_first:
            out = _through(self.aa, out)
        out = self.relu(self.bn2(self.conv2(_through(self.border, out))))
        if not self.aa_is_first:
            out = _through(self.aa, out)
        out = self.bn3(self.conv3(out))
        if self.plain:
            return self.relu(out)
        identity = x if self.downsample is None else self.downsample(x)
        return self.relu(out + identity)


Block = type[BasicBlock] | type[Bottleneck]


class ResNet(nn.Module):
    """A residual network: stem, stages of blocks, global average pooling, linear classifier.

    Args:
        block: ``BasicBlock`` or ``Bottleneck``.
        blocks: number of blocks in each stage; stages after the first halve the resolution.
        num_classes: outputs of ``fc``.
        base_planes: channels of the first stage (64 on ImageNet, 16 on CIFAR); each further
            stage doubles them.
        stem: ``imagenet`` is 7x7/2 and max-pool; ``cifar`` is one 3x3/1, with the same max-pool
            in ``cifar-pool``.
        shortcut: A, B or C of the paper, section 4.1.
        variant: where a Bottleneck strides.
        plain: the paper's plain net, the same layers without any shortcut.
        bn_eps: added to the variance in every BatchNorm.
        padding: where windows that stride lie, the stem's included.
        pool: how a map is halved.
        in_channels: of the pictures.

    Input ``(N, C, H, W)`` float32, normalised; output ``(N, num_classes)`` float32 logits, or,
    with ``gives_maps`` set, what :meth:`feature_maps` returns.
    """

    def __init__(
        self,
        block: Block,
        blocks: Sequence[int],
        *,
        num_classes: int = 1000,
        base_planes: int = 64,
        stem: Stem = Stem.IMAGENET,
        shortcut: Shortcut = Shortcut.B,
        variant: Variant = Variant.V1_5,
        plain: bool = False,
        bn_eps: float = BATCHNORM_EPS,
        padding: Padding = Padding.TORCH,
        pool: Pool = Pool.PLAIN,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.border = None
        if stem is Stem.IMAGENET:
            self.border = _border(padding, 7, 2)
            own = 3 if self.border is None else 0
            self.conv1 = nn.Conv2d(
                in_channels, base_planes, kernel_size=7, stride=2, padding=own, bias=False
            )
        else:
            self.conv1 = conv3x3(in_channels, base_planes)
        self.maxpool = None if stem is Stem.CIFAR else stem_pool(pool, padding)
        self.bn1 = nn.BatchNorm2d(base_planes)
        self.relu = nn.ReLU(inplace=True)

        in_planes = base_planes
        self.stage_names = tuple(f"layer{i + 1}" for i in range(len(blocks)))
        for i, (name, count) in enumerate(zip(self.stage_names, blocks, strict=True)):
            planes, stride = base_planes * 2**i, 1 if i == 0 else 2
            stage = nn.Sequential()
            for _ in range(count):
                downsample = None
                if not plain:
                    downsample = _shortcut(shortcut, in_planes, planes * block.expansion, stride)
                stage.append(
                    block(
                        in_planes,
                        planes,
                        stride,
                        downsample,
                        variant=variant,
                        plain=plain,
                        padding=padding,
                        pool=pool,
                    )
                )
                in_planes, stride = planes * block.expansion, 1
            self.add_module(name, stage)

        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc: nn.Module = nn.Linear(in_planes, num_classes)
        self.gives_maps = False
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eps = bn_eps

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        maps = self.feature_maps(x)
        if self.gives_maps:
            return maps
        return self.fc(torch.flatten(self.avgpool(maps[-1]), 1))

    def feature_maps(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the output of every stage, ``(N, C, H, W)`` each: C2 to C5 (CIFAR: to C4)."""
        x = self.relu(self.bn1(self.conv1(_through(self.border, x))))
        x = _through(self.maxpool, x)

        maps = []
        for name in self.stage_names:
            x = self.get_submodule(name)(x)
            maps.append(x)
        return tuple(maps)

    def dilate(self, output_stride: int) -> None:
        """Let the last stages dilate their 3x3 convolutions instead of striding, in place.

        A pixel of the last map then stands for ``output_stride`` pixels of the image: 8, 16, or 32
        for the net as it is. The weights stay the same.

        As torchvision's ``replace_stride_with_dilation``: the first block of such a stage keeps the
        dilation of the stage before it, the others dilate twice as much. Every 3x3 convolution of
        a block dilates; torchvision refuses ``BasicBlock``, whose two do here.

        Source: L.-C. Chen et al., Rethinking Atrous Convolution (arXiv:1706.05587), section 3.
        """
        stride, dilation = self.conv1.stride[0] * (1 if self.maxpool is None else 2), 1
        for name in self.stage_names[1:]:
            stride *= 2
            if stride <= output_stride:
                continue
            for i, block in enumerate(self.get_submodule(name).children()):
                assert isinstance(block, BasicBlock | Bottleneck), "stages hold blocks"
                _dilate_block(block, dilation if i == 0 else 2 * dilation)
            dilation *= 2


def _border(padding: Padding, kernel: int, stride: int) -> SameBorder | None:
    """Return what stands in front of a window; None where it pads both sides alike by itself."""
    return SameBorder(kernel, stride) if padding is Padding.TF and stride > 1 else None


def _through(layer: nn.Module | None, x: Tensor) -> Tensor:
    """Return ``layer(x)``, or ``x`` where there is no layer."""
    return x if layer is None else layer(x)


def _dilate_block(block: BasicBlock | Bottleneck, dilation: int) -> None:
    block.border = None  # without a stride, TF pads both sides alike too
    if block.aa is not None:
        block.aa = BlurPool2d(1) if isinstance(block.aa, BlurPool2d) else None
    for child in block.modules():
        if isinstance(child, ZeroPadShortcut):
            child.stride = 1
        elif isinstance(child, nn.Conv2d):
            child.stride = (1, 1)
            if child.kernel_size == (3, 3):
                child.dilation = child.padding = (dilation, dilation)
                # Conv2d prepares this list from its padding at construction.
                child._reversed_padding_repeated_twice = [dilation] * 4


def _shortcut(kind: Shortcut, in_planes: int, planes: int, stride: int) -> nn.Module | None:
    """Return what the shortcut of a block applies to its input; None is the identity."""
    changes_shape = stride != 1 or in_planes != planes
    if kind is Shortcut.C or (kind is Shortcut.B and changes_shape):
        return nn.Sequential(conv1x1(in_planes, planes, stride), nn.BatchNorm2d(planes))
    if not changes_shape:
        return None
    return ZeroPadShortcut(in_planes, planes, stride, at_end=kind is Shortcut.A_END)
