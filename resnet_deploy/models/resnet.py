"""Residual nets: the paper's, and those that changed its numbers.

He et al., "Deep Residual Learning for Image Recognition" (arXiv:1512.03385), Table 1 (ImageNet) and
section 4.2 (CIFAR-10), with the paper's names: ``conv1``, ``layer1`` to ``layer4`` (conv2_x to
conv5_x), ``downsample`` (the projection shortcut) and ``fc``. State-dict keys are torchvision's,
and timm's where torchvision has no such net, so that their checkpoints load unchanged. What came
after the paper has a file each: ``stems``, ``shortcuts``, ``attention``, ``preactivation``,
``iresnet`` and ``heads``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from resnet_deploy.models.attention import attention
from resnet_deploy.models.blocks import BasicBlock, BlockPlan, Bottleneck
from resnet_deploy.models.convolutions import through
from resnet_deploy.models.heads import GlobalPool, head_module
from resnet_deploy.models.iresnet import IResNetBlock
from resnet_deploy.models.preactivation import PreActBlock
from resnet_deploy.models.resampling import BlurPool2d, MeanPool2d
from resnet_deploy.models.shortcuts import ZeroPadShortcut, shortcut
from resnet_deploy.models.stems import (
    convolution_pool,
    pool_behind,
    stem_border,
    stem_convolutions,
)
from resnet_deploy.spec import (
    BATCHNORM_EPS,
    BlockKind,
    Design,
    Order,
    Padding,
    Pool,
    Shortcut,
    Stem,
    Variant,
)


@dataclass(frozen=True, kw_only=True)
class NetOptions:
    """What of a net its tensors leave open, as in :class:`~resnet_deploy.spec.ModelSpec`.

    Args:
        stem: ``imagenet`` is 7x7/2 (or three 3x3) and max-pool; ``cifar`` is one 3x3/1, with the
            same max-pool in ``cifar-pool``.
        shortcut: A, B or C of the paper, section 4.1.
        variant: where a Bottleneck strides.
        plain: the paper's plain net, the same layers without any shortcut.
        bn_eps: added to the variance in every BatchNorm.
        padding: where windows that stride lie, the stem's included.
        pool: how a map is halved.
        in_channels: of the pictures.
    """

    stem: Stem = Stem.IMAGENET
    shortcut: Shortcut = Shortcut.B
    variant: Variant = Variant.V1_5
    plain: bool = False
    bn_eps: float = BATCHNORM_EPS
    padding: Padding = Padding.TORCH
    pool: Pool = Pool.PLAIN
    in_channels: int = 3


class ResNet(nn.Module):
    """A residual network: stem, stages of blocks, global pooling, classifier.

    Args:
        design: its numbers.
        options: the rest.

    Input ``(N, C, H, W)`` float32, normalised; output ``(N, num_classes)`` float32 logits, the
    pooled features ``(N, channels)`` of a net without a head, or, with ``gives_maps`` set, what
    :meth:`feature_maps` returns.
    """

    def __init__(self, design: Design, options: NetOptions | None = None) -> None:
        super().__init__()
        options = options or NetOptions()
        stem, padding, pool = options.stem, options.padding, options.pool
        planes = design.stem[-1]
        self.design, self.stem = design, stem
        self.border = stem_border(design.stem, stem, padding)
        self.conv1 = stem_convolutions(design.stem, options.in_channels, stem, padding)
        self.maxpool = pool_behind(stem, padding, pool)
        if design.stem_conv_pool:
            self.maxpool = convolution_pool(planes, padding, pool)
        self.bn1 = nn.BatchNorm2d(planes) if design.stem_norm else None
        self.relu = nn.ReLU(inplace=True)

        inputs = planes
        self.stage_names = tuple(f"layer{i + 1}" for i in range(len(design.stages)))
        for name, stage in zip(self.stage_names, design.stages, strict=True):
            halves = name != "layer1" or design.order is Order.IRESNET
            blocks = nn.Sequential()
            for i, widths in enumerate(stage.widths):
                plan = BlockPlan(
                    inputs=inputs,
                    widths=widths,
                    outputs=stage.channels,
                    stride=2 if halves and i == 0 else 1,
                    groups=stage.groups,
                    variant=options.variant,
                    plain=options.plain,
                    padding=padding,
                    pool=pool,
                )
                weighed = attention(design.attention, stage.channels, stage.squeezed)
                blocks.append(_block(design, options, plan, weighed))
                inputs = stage.channels
            self.add_module(name, blocks)

        self.norm = nn.BatchNorm2d(inputs) if design.last_norm else None
        self.avgpool = GlobalPool() if design.concat_pool else nn.AdaptiveAvgPool2d((1, 1))
        self.fc: nn.Module = head_module(design)
        self.gives_maps = False
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eps = options.bn_eps

    @property
    def activation(self) -> nn.Module:
        """What follows the stem's BatchNorm."""
        return self.relu

    @property
    def parts(self) -> tuple[tuple[nn.Module, ...], ...]:
        """All that has weights, from the image to the classifier: stem, stages, head."""
        stem = (self.conv1, self.bn1, self.activation, self.maxpool)
        stages = ((self.get_submodule(name),) for name in self.stage_names)
        return (_present(*stem), *stages, _present(self.norm, self.fc))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        maps = self.feature_maps(x)
        if self.gives_maps:
            return maps
        last = maps[-1] if self.norm is None else torch.relu(self.norm(maps[-1]))
        return through(self.fc, torch.flatten(self.avgpool(last), 1))

    def feature_maps(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the output of every stage, ``(N, C, H, W)`` each: C2 to C5 (CIFAR: to C4)."""
        x = self.conv1(through(self.border, x))
        if self.bn1 is not None:
            x = self.activation(self.bn1(x))
        x = through(self.maxpool, x)

        maps = []
        for name in self.stage_names:
            x = self.get_submodule(name)(x)
            maps.append(x)
        return tuple(maps)

    def drop_head(self) -> None:
        """Leave out what stands behind the last map, in place; only maps are given then."""
        self.norm = None
        self.fc = nn.Identity().eval()

    def dilate(self, output_stride: int) -> None:
        """Let the last stages dilate their 3x3 convolutions instead of striding, in place.

        A pixel of the last map then stands for ``output_stride`` pixels of the image: 8, 16, or 32
        for the net as it is. The weights stay the same.

        As torchvision's ``replace_stride_with_dilation``: the first block of such a stage keeps the
        dilation of the stage before it, the others dilate twice as much. Every 3x3 convolution of
        a block dilates; torchvision refuses ``BasicBlock``, whose two do here.

        Source: L.-C. Chen et al., Rethinking Atrous Convolution (arXiv:1706.05587), section 3.
        """
        stride = (2 if self.stem is Stem.IMAGENET else 1) * (1 if self.maxpool is None else 2)
        dilation = 1
        for name in self.stage_names[1:]:
            stride *= 2
            if stride <= output_stride:
                continue
            for i, block in enumerate(self.get_submodule(name).children()):
                _dilate_block(block, dilation if i == 0 else 2 * dilation)
            dilation *= 2


def _block(
    design: Design, options: NetOptions, plan: BlockPlan, weighed: nn.Module | None
) -> nn.Module:
    around = None
    if not options.plain:
        around = shortcut(options.shortcut, design, plan.inputs, plan.outputs, plan.stride)
    if design.order is Order.IRESNET:
        return IResNetBlock(plan, around, weighed)
    if design.order is Order.PRE:
        return PreActBlock(plan, around, weighed)
    kind = BasicBlock if design.block is BlockKind.BASIC else Bottleneck
    return kind(plan, around, weighed)


def _present(*layers: nn.Module | None) -> tuple[nn.Module, ...]:
    return tuple(layer for layer in layers if layer is not None)


def _dilate_block(block: nn.Module, dilation: int) -> None:
    assert isinstance(block, BasicBlock | Bottleneck | PreActBlock), "stages hold blocks"
    block.border = None  # without a stride, TF pads both sides alike too
    if block.aa is not None:
        block.aa = BlurPool2d(1) if isinstance(block.aa, BlurPool2d) else None
    for child in block.modules():
        assert not isinstance(child, MeanPool2d), "such nets are refused before"
        if isinstance(child, ZeroPadShortcut):
            child.stride = 1
        elif isinstance(child, nn.Conv2d):
            child.stride = (1, 1)
            if child.kernel_size == (3, 3):
                child.dilation = child.padding = (dilation, dilation)
                # Conv2d prepares this list from its padding at construction.
                child._reversed_padding_repeated_twice = [dilation] * 4
