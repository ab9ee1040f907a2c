"""What the nets that came after the paper changed, in numbers: blocks, widths, stems, attention.

Sources: ResNeXt (arXiv:1611.05431), Wide ResNet (arXiv:1605.07146), squeeze-and-excitation
(arXiv:1709.01507), the C, D and T stems and average-pool shortcuts (Bag of Tricks,
arXiv:1812.01187; timm's ``models/resnet.py``), ECA (arXiv:1910.03151), pre-activation
(arXiv:1603.05027), ResNet-RS (arXiv:2103.07579), iResNet (insightface, ``iresnet.py``).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class BlockKind(str, enum.Enum):
    """The convolutions of a block: two 3x3, or 1x1, 3x3, 1x1."""

    BASIC = "basic"
    BOTTLENECK = "bottleneck"


class Order(str, enum.Enum):
    """Where a block normalises.

    ``post``: behind each convolution, ReLU behind the Add (the paper). ``pre``: BatchNorm and
    ReLU in front of each convolution, nothing behind the Add (v2). ``iresnet``: BatchNorm first,
    one PReLU between the two 3x3 of which the second strides, nothing behind the Add.
    """

    POST = "post"
    PRE = "pre"
    IRESNET = "iresnet"


class Downsample(str, enum.Enum):
    """How a projection shortcut halves a map: the 1x1 strides, or an average pool in front (D)."""

    STRIDE = "stride"
    AVG = "avg"


class Attention(str, enum.Enum):
    """What weighs the channels of a residual branch: squeeze-and-excitation, or ECA."""

    NONE = "none"
    SE = "se"
    ECA = "eca"


@dataclass(frozen=True, kw_only=True)
class HeadLayer:
    """One layer behind the global pool.

    Args:
        path: within ``fc``; empty: ``fc`` itself.
        kind: ``linear``, ``batchnorm``, or ``relu``.
        outputs: how many values it gives.
        bias: whether a linear layer has one.
    """

    path: str
    kind: str
    outputs: int
    bias: bool = True


@dataclass(frozen=True, kw_only=True)
class Design:
    """A residual net by its numbers; all can be told from the names and shapes of its tensors.

    Args:
        block: of two convolutions or three.
        blocks: how many each stage has.
        channels: what each stage gives.
        widths: channels inside the blocks of each stage: what the 3x3 of a bottleneck gives, or the
            first 3x3 of a basic block.
        groups: of the 3x3 of a bottleneck (ResNeXt's cardinality), stage by stage.
        order: where a block normalises.
        stem: channels of the stem's convolutions: one, or three of 3x3.
        stem_conv_pool: a 3x3 convolution of stride 2 stands for the max-pool (ResNet-RS).
        downsample: how a projection halves a map.
        projection_kernel: of the projections of stages after the first; 3 in SENet-154.
        attention: what weighs channels.
        squeezed: channels between the two layers of SE, or ECA's kernel, stage by stage.
        head: the layers behind the pool; empty: none, a backbone.
    """

    block: BlockKind
    blocks: tuple[int, ...]
    channels: tuple[int, ...]
    widths: tuple[int, ...]
    groups: tuple[int, ...]
    order: Order = Order.POST
    stem: tuple[int, ...] = (64,)
    stem_conv_pool: bool = False
    downsample: Downsample = Downsample.STRIDE
    projection_kernel: int = 1
    attention: Attention = Attention.NONE
    squeezed: tuple[int, ...] = ()
    head: tuple[HeadLayer, ...] = ()

    @property
    def depth(self) -> int:
        """Layers with weights on the longest path, as the paper counts."""
        return (2 if self.block is BlockKind.BASIC else 3) * sum(self.blocks) + 2
