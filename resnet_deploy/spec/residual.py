"""What the nets that came after the paper changed, in numbers: blocks, widths, stems, attention.

Sources: ResNeXt (arXiv:1611.05431), Wide ResNet (arXiv:1605.07146), squeeze-and-excitation
(arXiv:1709.01507), the C, D and T stems and average-pool shortcuts (Bag of Tricks,
arXiv:1812.01187; timm's ``models/resnet.py``), ECA (arXiv:1910.03151), pre-activation
(arXiv:1603.05027), ResNet-RS (arXiv:2103.07579), iResNet (insightface, ``iresnet.py``).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from resnet_deploy.errors import SpecError

MOST_BLOCKS = 2000
"""Three times those of the deepest net of the paper's sequel, which has 1001 layers."""

MOST_CHANNELS = 1 << 16
MOST_WEIGHTS = 4_000_000_000
"""Four times those of the widest net that was published, ResNeXt-101 32x48d."""


_PATH = re.compile(r"(?:\d{1,3})?", re.ASCII)


class BlockKind(str, enum.Enum):
    """The convolutions of a block: two 3x3, or 1x1, 3x3, 1x1."""

    BASIC = "basic"
    BOTTLENECK = "bottleneck"

    @property
    def expansion(self) -> int:
        """How many times the channels inside a block of the paper it gives."""
        return 4 if self is BlockKind.BOTTLENECK else 1


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
    """What weighs the channels of a residual branch: squeeze-and-excitation, or ECA.

    ``se-relu`` has a ReLU in front, as basic blocks in Cadene's ``senet.py``; no tensor tells it.
    """

    NONE = "none"
    SE = "se"
    SE_RELU = "se-relu"
    ECA = "eca"


class HeadKind(str, enum.Enum):
    """A layer of a head; the ReLU has no tensors."""

    LINEAR = "linear"
    BATCHNORM = "batchnorm"
    RELU = "relu"


@dataclass(frozen=True, kw_only=True)
class HeadLayer:
    """One layer behind the global pool.

    Args:
        path: within ``fc``; empty: ``fc`` itself.
        kind: what it is.
        outputs: how many values it gives.
    """

    path: str
    kind: HeadKind
    outputs: int


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Blocks on maps of one size.

    Args:
        channels: what each of its blocks gives.
        widths: of every block, what its convolutions but the last one give.
        groups: of the 3x3 of a bottleneck (ResNeXt's cardinality).
        squeezed: channels between the two layers of SE, or ECA's kernel.
    """

    channels: int
    widths: tuple[tuple[int, ...], ...]
    groups: int = 1
    squeezed: int = 0


@dataclass(frozen=True, kw_only=True)
class Design:
    """A residual net by its numbers.

    Args:
        block: of two convolutions or three.
        stages: from the largest map to the smallest.
        head: the layers behind the pool; empty: none, a backbone.
        order: where a block normalises.
        stem: channels of the stem's convolutions: one, or three of 3x3.
        stem_norm: the stem has a BatchNorm behind its last convolution, as all but v2.
        stem_conv_pool: a 3x3 convolution of stride 2 stands for the max-pool (ResNet-RS).
        downsample: how a projection halves a map.
        projection_kernel: of the projections that stride; 3 in SENet-154.
        attention: what weighs channels.
        last_norm: a BatchNorm and a ReLU follow the last block of a v2 net.
        concat_pool: the global maximum and the mean, one behind the other (fastai's heads).
        embedding: what the last layer of an iResNet gives; 0 in all others.

    Raises:
        SpecError: the numbers make no net, or one beyond all that were published.
    """

    block: BlockKind
    stages: tuple[Stage, ...]
    head: tuple[HeadLayer, ...] = ()
    order: Order = Order.POST
    stem: tuple[int, ...] = (64,)
    stem_norm: bool = True
    stem_conv_pool: bool = False
    downsample: Downsample = Downsample.STRIDE
    projection_kernel: int = 1
    attention: Attention = Attention.NONE
    last_norm: bool = False
    concat_pool: bool = False
    embedding: int = 0

    def __post_init__(self) -> None:
        if problem := next(_problems(self), None):
            raise SpecError(f"no residual net has {problem}")

    @property
    def blocks(self) -> tuple[int, ...]:
        """How many blocks each stage has."""
        return tuple(len(stage.widths) for stage in self.stages)

    @property
    def depth(self) -> int:
        """Layers with weights on the longest path, as the paper counts."""
        return (2 if self.block is BlockKind.BASIC else 3) * sum(self.blocks) + 2

    @property
    def pooled(self) -> int:
        """How many values the global pool gives."""
        return self.stages[-1].channels * (2 if self.concat_pool else 1)

    @property
    def num_classes(self) -> int:
        """What the last layer of the head gives; 0 without a head."""
        return self.head[-1].outputs if self.head else 0

    def with_classes(self, count: int) -> Design:
        """Return the same net for ``count`` classes; a backbone gets a linear layer."""
        last = self.head[-1] if self.head else HeadLayer(path="", kind=HeadKind.LINEAR, outputs=0)
        return replace(self, head=(*self.head[:-1], replace(last, outputs=count)))


def uniform_design(
    block: BlockKind,
    blocks: Sequence[int],
    *,
    base: int = 64,
    num_classes: int = 1000,
    groups: int = 1,
    width: float = 1.0,
) -> Design:
    """Return a net as the paper's, of which each stage has twice the channels of the one before.

    Args:
        block: its kind.
        blocks: how many each stage has.
        base: channels inside the blocks of the first stage, which a bottleneck gives times four.
        num_classes: of the linear head.
        groups: of a bottleneck's 3x3.
        width: of the inside of a bottleneck, in shares of the paper's.
    """
    inner = 2 if block is BlockKind.BOTTLENECK else 1
    stages = tuple(
        Stage(
            channels=base * 2**i * block.expansion,
            widths=((int(base * 2**i * width),) * inner,) * count,
            groups=groups,
        )
        for i, count in enumerate(blocks)
    )
    head = HeadLayer(path="", kind=HeadKind.LINEAR, outputs=num_classes)
    return Design(block=block, stages=stages, head=(head,), stem=(base,))


PAPER_BLOCKS: dict[int, tuple[BlockKind, tuple[int, ...]]] = {
    18: (BlockKind.BASIC, (2, 2, 2, 2)),
    34: (BlockKind.BASIC, (3, 4, 6, 3)),
    50: (BlockKind.BOTTLENECK, (3, 4, 6, 3)),
    101: (BlockKind.BOTTLENECK, (3, 4, 23, 3)),
    152: (BlockKind.BOTTLENECK, (3, 8, 36, 3)),
}
"""Table 1 of the paper: the block and how many of it each of conv2_x to conv5_x has."""


def _problems(design: Design) -> Iterator[str]:
    """Yield what of ``design`` is beyond any net, in words; later ones rely on the earlier."""
    if not 1 <= len(design.stages) <= 8 or not 0 < sum(design.blocks) <= MOST_BLOCKS:
        yield f"{len(design.stages)} stages of {sum(design.blocks)} blocks"
    if min(design.blocks, default=1) < 1:
        yield "a stage without blocks"
    if len(design.stem) not in (1, 3):
        yield f"a stem of {len(design.stem)} convolutions"
    if len(design.head) > 20 or design.projection_kernel not in (1, 3):
        kernel = design.projection_kernel
        yield f"{len(design.head)} layers behind its pool, or projections of {kernel}x{kernel}"
    if not all(_PATH.fullmatch(layer.path) for layer in design.head):
        yield "such names in its head"
    counts = [*design.stem, *(layer.outputs for layer in design.head)]
    for stage in design.stages:
        counts += [stage.channels, stage.groups, *(w for widths in stage.widths for w in widths)]
    if not all(1 <= count <= MOST_CHANNELS for count in counts):
        yield f"layers of {min(counts)} to {max(counts)} channels"
    for stage in design.stages:
        yield from _problems_of_stage(stage, design)
    if not 0 <= design.embedding <= MOST_CHANNELS:
        yield f"an embedding of {design.embedding} values"
    if _weights(design) > MOST_WEIGHTS:
        yield f"{_weights(design):,} weights"


def _problems_of_stage(stage: Stage, design: Design) -> Iterator[str]:
    inner = 2 if design.block is BlockKind.BOTTLENECK else 1
    if any(len(widths) != inner for widths in stage.widths):
        yield f"{design.block.value} blocks of {len(stage.widths[0]) + 1} convolutions"
    if any(width % stage.groups for widths in stage.widths for width in widths):
        yield f"{stage.groups} groups in blocks of {stage.widths[0]} channels"
    if design.attention is not Attention.NONE and not 1 <= stage.squeezed <= MOST_CHANNELS:
        yield f"attention through {stage.squeezed} channels"
    if design.attention is Attention.ECA and not stage.squeezed % 2:
        yield f"attention over {stage.squeezed} channels, which have no middle"


def _weights(design: Design) -> int:
    """Return about how many weights the convolutions of all blocks have."""
    total, inputs = 0, design.stem[-1]
    for stage in design.stages:
        for widths in stage.widths:
            if design.block is BlockKind.BASIC:
                total += 9 * widths[0] * (inputs + stage.channels)
            else:
                first, second = widths
                total += first * inputs + 9 * first * second // stage.groups
                total += second * stage.channels
            total += (
                2
                * stage.channels
                * (stage.squeezed if design.attention is not Attention.ECA else 0)
            )
            inputs = stage.channels
    return total
