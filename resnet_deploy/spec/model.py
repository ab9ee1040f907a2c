"""Which network: the paper's families, depths and variants.

Long, since each property comes with what it may be and what it may not be beside others.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePath

from resnet_deploy.errors import SpecError
from resnet_deploy.spec.input_words import LARGEST_CHANNELS, LARGEST_SIDE
from resnet_deploy.spec.names import design_name
from resnet_deploy.spec.residual import (
    MOST_BLOCKS,
    PAPER_BLOCKS,
    BlockKind,
    Design,
    Downsample,
    Order,
    uniform_design,
)

IMAGENET_DEPTHS = tuple(PAPER_BLOCKS)

CHANNEL_COUNTS = (1, 3, 4)
"""Of the pictures that nets take: grey, RGB, RGBA."""

BATCHNORM_EPS = 1e-5
"""What PyTorch adds to a BatchNorm's variance; TensorFlow's nets have 1e-3 or 1.001e-5."""


class Family(str, enum.Enum):
    """Which architecture a model belongs to.

    ``imagenet`` and ``cifar`` are the paper's own residual nets, ``residual`` is one of another
    design; ``custom`` is any module or ONNX file.
    """

    IMAGENET = "imagenet"
    CIFAR = "cifar"
    RESIDUAL = "residual"
    VGG = "vgg"
    CUSTOM = "custom"


class Variant(str, enum.Enum):
    """Where a Bottleneck strides: v1 (the paper) in the first 1x1, v1.5 in the 3x3."""

    V1 = "v1"
    V1_5 = "v1.5"


class Stem(str, enum.Enum):
    """``imagenet``: 7x7/2 and 3x3/2 max-pool; ``cifar``: 3x3/1; ``cifar-pool``: it and the pool."""

    IMAGENET = "imagenet"
    CIFAR = "cifar"
    CIFAR_POOL = "cifar-pool"


class Shortcut(str, enum.Enum):
    """Section 4.1 of the paper: A zero-padded identity, B projection on a change, C always.

    ``A-end`` is A with all zeros behind the channels; A has half of them in front.
    """

    A = "A"
    A_END = "A-end"
    B = "B"
    C = "C"


class Padding(str, enum.Enum):
    """Where a window of stride 2 lies: ``torch`` pads both sides alike, ``tf`` pads as ``SAME``.

    TensorFlow's ``SAME`` pads just enough for ``ceil(size / stride)`` results, and an odd pixel
    goes behind. ``caffe`` pads convolutions alike, and the stem's max-pool behind alone: nets that
    were converted from Caffe, such as Cadene's SE-ResNets.
    """

    TORCH = "torch"
    TF = "tf"
    CAFFE = "caffe"


class Pool(str, enum.Enum):
    """How a map is halved: ``plain`` strides; the others filter first and take every second pixel.

    ``blur``: a binomial 3x3 filter behind the convolution or max-pool, which then has stride 1
    (Zhang, arXiv:1904.11486); ``avg``: the mean of 2x2 pixels, also in place of the max-pool.
    """

    PLAIN = "plain"
    BLUR = "blur"
    AVG = "avg"


MOST_CLASSES = 100_000_000
"""Ten times those of the largest nets for faces."""


def check_bn_eps(eps: float) -> None:
    """Refuse what is not an epsilon of a BatchNorm.

    Raises:
        SpecError: it is not above 0 and at most 1.
    """
    if not (math.isfinite(eps) and 0 < eps <= 1):
        raise SpecError(f"--bn-eps must be above 0 and at most 1, not {eps:g}")


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Which network: enough to build its PyTorch module again.

    ``factory`` is ``package.module:callable``, ``timm:NAME``, ``torchvision:NAME`` or ``hf:FOLDER``
    for family ``custom``; it is None when the model came as a foreign ONNX file, which has no
    PyTorch module of its own. ``design`` is None for the paper's own nets, which ``family`` and
    ``depth`` tell.

    Raises:
        SpecError: a number is none that such a network has, or two contradict each other.
    """

    family: Family
    depth: int = 0
    num_classes: int = 1000
    image_size: int = 224
    variant: Variant = Variant.V1_5
    shortcut: Shortcut = Shortcut.B
    stem: Stem = Stem.IMAGENET
    plain: bool = False
    factory: str | None = None
    bn_eps: float = BATCHNORM_EPS
    padding: Padding = Padding.TORCH
    pool: Pool = Pool.PLAIN
    in_channels: int = 3
    design: Design | None = None

    def __post_init__(self) -> None:
        check_bn_eps(self.bn_eps)
        if problem := next(_problems(self), None):
            raise SpecError(f"no {self.family.value} net has {problem}")
        if (self.design is not None) is not (self.family is Family.RESIDUAL):
            raise SpecError(f"a {self.family.value} net has no design of its own, or needs one")
        if self.design is not None and self.design.num_classes != self.num_classes:
            raise SpecError(
                f"a head for {self.design.num_classes} classes is not one for {self.num_classes}"
            )

    @property
    def is_residual(self) -> bool:
        """True for the paper's ResNets and all that came of them."""
        return self.family in (Family.IMAGENET, Family.CIFAR, Family.RESIDUAL)

    @property
    def has_bottlenecks(self) -> bool:
        """True for nets of blocks with three layers; only these have variants."""
        return self.is_residual and self.residual.block is BlockKind.BOTTLENECK

    @property
    def has_classes(self) -> bool:
        """False for a backbone, which gives features and no logits."""
        return self.family is not Family.RESIDUAL or self.num_classes > 0

    @property
    def residual(self) -> Design:
        """The design of a residual net.

        Raises:
            SpecError: it is none.
        """
        if self.design is not None:
            return self.design
        if self.family is Family.CIFAR:
            each = (self.depth - 2) // 6
            three = (each, each, each)
            return uniform_design(BlockKind.BASIC, three, base=16, num_classes=self.num_classes)
        if self.family is not Family.IMAGENET:
            raise SpecError(f"{self.name} is not a residual net, which alone has a design")
        block, blocks = PAPER_BLOCKS[self.depth]
        return uniform_design(block, blocks, num_classes=self.num_classes)

    @property
    def name(self) -> str:
        """The stem of the files this model is written to, such as ``resnet34``."""
        if self.family is Family.CUSTOM:
            # Of hf:FOLDER the last folder.
            named = (self.factory or "model").rpartition(":")[2]
            return PurePath(named).name or "model"
        if self.family is Family.VGG:
            return f"vgg{self.depth}"
        v1 = "-v1" if self.has_bottlenecks and self.variant is Variant.V1 else ""
        if self.design is not None:
            kind = "plain-" if self.plain else ""
            pool = {Pool.BLUR: "blur", Pool.AVG: "aa"}.get(self.pool, "")
            small = self.stem is not Stem.IMAGENET
            return f"{kind}{design_name(self.design, pool=pool, small=small)}{v1}"
        kind = "plain" if self.plain else "resnet"
        return f"{kind}{self.depth}{v1}"

    def with_classes(self, count: int) -> ModelSpec:
        """Return the same net with ``count`` classes."""
        design = None if self.design is None else self.design.with_classes(count)
        return replace(self, num_classes=count, design=design)


def residual_spec(
    design: Design,
    *,
    image_size: int | None = None,
    variant: Variant = Variant.V1_5,
    shortcut: Shortcut = Shortcut.B,
    stem: Stem = Stem.IMAGENET,
    plain: bool = False,
    bn_eps: float | None = None,
    padding: Padding | None = None,
    pool: Pool | None = None,
    in_channels: int = 3,
) -> ModelSpec:
    """Return the spec of a net of ``design``; of one of the paper's own, by family and depth.

    Pictures have 224 pixels, 112 for an iResNet, and 32 where the stem is for small ones.

    Raises:
        SpecError: the image size is not positive.
    """
    if plain or shortcut in (Shortcut.A, Shortcut.A_END):
        # How projections halve a map means nothing where there are none.
        design = replace(design, downsample=Downsample.STRIDE, projection_kernel=1)
    size = 224 if stem is Stem.IMAGENET else 112 if design.order is Order.IRESNET else 32
    size = size if image_size is None else image_size
    if size < 1:
        raise SpecError(f"the image size must be at least 1, not {size}")
    spec = ModelSpec(
        family=Family.RESIDUAL,
        depth=design.depth,
        num_classes=design.num_classes,
        image_size=size,
        variant=variant,
        shortcut=shortcut,
        stem=stem,
        plain=plain,
        bn_eps=BATCHNORM_EPS if bn_eps is None else bn_eps,
        padding=padding or Padding.TORCH,
        pool=pool or Pool.PLAIN,
        in_channels=in_channels,
        design=design,
    )
    if not design.head:
        return spec
    for family in (Family.IMAGENET, Family.CIFAR):
        if _is_of_paper(family, spec.depth):
            paper = replace(spec, family=family, design=None)
            if paper.residual == design:
                return paper
    return spec


def resnet_spec(
    depth: int,
    *,
    num_classes: int | None = None,
    image_size: int | None = None,
    variant: Variant = Variant.V1_5,
    shortcut: Shortcut | None = None,
    stem: Stem | None = None,
    plain: bool = False,
    bn_eps: float | None = None,
    padding: Padding | None = None,
    pool: Pool | None = None,
    in_channels: int | None = None,
) -> ModelSpec:
    """Return the spec of a ResNet; ``depth`` alone chooses the family.

    18, 34, 50, 101 and 152 are the ImageNet nets of Table 1 (1000 classes, 224 pixels, option
    B); any other 6n+2 is a CIFAR net of section 4.2 (10 classes, 32 pixels, option A).

    Raises:
        SpecError: no ResNet has this depth, or a size or the epsilon is not positive.
    """
    if depth in IMAGENET_DEPTHS:
        family, classes, usual = Family.IMAGENET, 1000, (Stem.IMAGENET, Shortcut.B)
    elif depth >= 8 and (depth - 2) % 6 == 0:
        family, classes, usual = Family.CIFAR, 10, (Stem.CIFAR, Shortcut.A)
    else:
        raise SpecError(
            f"no ResNet has depth {depth}: use 18, 34, 50, 101 or 152 (ImageNet), "
            "or 6n+2 (CIFAR: 20, 32, 44, 56, 110)"
        )
    stem, shortcut = stem or usual[0], shortcut or usual[1]
    size = 224 if family is Family.IMAGENET and stem is Stem.IMAGENET else 32
    classes = classes if num_classes is None else num_classes
    size = size if image_size is None else image_size
    if classes < 1 or size < 1:
        raise SpecError(f"number of classes ({classes}) and image size ({size}) must be positive")
    return ModelSpec(
        family=family,
        depth=depth,
        num_classes=classes,
        image_size=size,
        variant=variant,
        shortcut=shortcut,
        stem=stem,
        plain=plain,
        bn_eps=BATCHNORM_EPS if bn_eps is None else bn_eps,
        padding=padding or Padding.TORCH,
        pool=pool or Pool.PLAIN,
        in_channels=in_channels or 3,
    )


def vgg19_spec(
    *,
    num_classes: int | None = None,
    image_size: int | None = None,
    in_channels: int | None = None,
) -> ModelSpec:
    """Return the spec of VGG-19, the reference net of the paper's Fig. 3 (left)."""
    return ModelSpec(
        family=Family.VGG,
        depth=19,
        num_classes=1000 if num_classes is None else num_classes,
        image_size=image_size or 224,
        in_channels=in_channels or 3,
    )


def _problems(spec: ModelSpec) -> Iterator[str]:
    """Yield what of ``spec`` is beyond any net of its family, in words."""
    of_paper = spec.family in (Family.IMAGENET, Family.CIFAR, Family.VGG)
    if not int(of_paper) <= spec.num_classes <= MOST_CLASSES:
        yield f"{spec.num_classes} classes"
    if not 0 <= spec.image_size <= LARGEST_SIDE:  # 0: not known yet
        yield f"images of {spec.image_size} pixels: a side has 1 to {LARGEST_SIDE}"
    if not int(spec.family is not Family.CUSTOM) <= spec.in_channels <= LARGEST_CHANNELS:
        yield f"pictures of {spec.in_channels} channels"
    if not (_is_of_paper(spec.family, spec.depth) if of_paper else spec.depth >= 0):
        yield f"depth {spec.depth}"
    if spec.factory is not None and spec.family is not Family.CUSTOM:
        yield f"a factory of its own ({spec.factory[:80]!r})"


def _is_of_paper(family: Family, depth: int) -> bool:
    """Whether the paper has such a net: of CIFAR's, any that is not beyond reason."""
    if family is Family.CIFAR:
        return 8 <= depth <= 2 * MOST_BLOCKS + 2 and (depth - 2) % 6 == 0
    return depth == 19 if family is Family.VGG else depth in PAPER_BLOCKS
