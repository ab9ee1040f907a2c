"""What is asked for: frozen requests, with the paper's and the field's names."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path

from resnet_deploy.errors import SpecError

IMAGENET_DEPTHS = (18, 34, 50, 101, 152)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

CENTER_CROP_RATIO = 0.875
"""Crop over resize of ImageNet evaluation: 224 of 256."""


class Family(str, enum.Enum):
    """Which architecture a model belongs to; ``custom`` is any module or ONNX file."""

    IMAGENET = "imagenet"
    CIFAR = "cifar"
    VGG = "vgg"
    CUSTOM = "custom"


class Variant(str, enum.Enum):
    """Where a Bottleneck strides: v1 (the paper) in the first 1x1, v1.5 in the 3x3."""

    V1 = "v1"
    V1_5 = "v1.5"


class Stem(str, enum.Enum):
    """``imagenet``: 7x7/2 and 3x3/2 max-pool; ``cifar``: one 3x3/1."""

    IMAGENET = "imagenet"
    CIFAR = "cifar"


class Shortcut(str, enum.Enum):
    """Section 4.1 of the paper: A zero-padded identity, B projection on a change, C always."""

    A = "A"
    B = "B"
    C = "C"


class CalibrationMethod(str, enum.Enum):
    """How an activation range is chosen from what was observed."""

    MINMAX = "minmax"
    PERCENTILE = "percentile"
    ENTROPY = "entropy"
    MSE = "mse"


class Effort(str, enum.Enum):
    """How long accuracy is looked for; neither costs anything at run time.

    ``fast`` rounds each weight alone, in seconds; ``best`` rounds the weights of a layer together,
    so that their errors cancel on the calibration images, in minutes.
    """

    FAST = "fast"
    BEST = "best"


class TargetIsa(str, enum.Enum):
    """Which CPUs the int8 kernels are chosen for.

    ``portable`` suits every CPU with VNNI or ARM's dot product; ``x86-amx`` gives the same answers
    and is faster with Intel's AMX, slower without; ``x86-avx2`` keeps every pair of products
    within int16, which x86 CPUs without VNNI need to give the same answers; ``auto`` is the CPU
    that the file is made on.
    """

    AUTO = "auto"
    PORTABLE = "portable"
    X86_AVX2 = "x86-avx2"
    X86_AMX = "x86-amx"


class Optimization(str, enum.Enum):
    """ONNX Runtime's graph optimisation level: everything, or nothing."""

    OFF = "off"
    ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """From a picture to the input tensor, as torchvision evaluates.

    The shorter side is resized to ``resize`` pixels (antialiased), the centre ``crop`` x
    ``crop`` pixels are kept, RGB is scaled to [0, 1], then ``(x - mean) / std`` per channel.
    """

    resize: int = 256
    crop: int = 224
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: str = "bilinear"

    @classmethod
    def for_size(cls, image_size: int) -> Preprocess:
        """Return the usual preprocessing of a net with square inputs of ``image_size`` pixels.

        Small images (below 64 pixels, as CIFAR's) are used whole; larger ones are resized to
        ``image_size / 0.875`` first, as for ImageNet.
        """
        resize = image_size if image_size < 64 else round(image_size / CENTER_CROP_RATIO)
        return cls(resize=resize, crop=image_size)


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Which network: enough to build its PyTorch module again.

    ``factory`` is ``package.module:callable`` for family ``custom``; it is None when the model
    came as a foreign ONNX file, which has no PyTorch module of its own.
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

    @property
    def name(self) -> str:
        """The stem of the files this model is written to, such as ``resnet34``."""
        if self.family is Family.CUSTOM:
            return "model" if self.factory is None else self.factory.rpartition(":")[2]
        if self.family is Family.VGG:
            return f"vgg{self.depth}"
        kind = "plain" if self.plain else "resnet"
        bottleneck = self.family is Family.IMAGENET and self.depth >= 50
        suffix = "-v1" if bottleneck and self.variant is Variant.V1 else ""
        return f"{kind}{self.depth}{suffix}"


def resnet_spec(
    depth: int,
    *,
    num_classes: int | None = None,
    image_size: int | None = None,
    variant: Variant = Variant.V1_5,
    shortcut: Shortcut | None = None,
    stem: Stem | None = None,
    plain: bool = False,
) -> ModelSpec:
    """Return the spec of a ResNet; ``depth`` alone chooses the family.

    18, 34, 50, 101 and 152 are the ImageNet nets of Table 1 (1000 classes, 224 pixels, option
    B); any other 6n+2 is a CIFAR net of section 4.2 (10 classes, 32 pixels, option A).

    Raises:
        SpecError: no ResNet has this depth, or a size is not positive.
    """
    if depth in IMAGENET_DEPTHS:
        family, classes, size = Family.IMAGENET, 1000, 224
        stem = stem or Stem.IMAGENET
        if stem is Stem.CIFAR:
            size = 32
        shortcut = shortcut or Shortcut.B
    elif depth >= 8 and (depth - 2) % 6 == 0:
        family, classes, size = Family.CIFAR, 10, 32
        stem = stem or Stem.CIFAR
        shortcut = shortcut or Shortcut.A
    else:
        raise SpecError(
            f"no ResNet has depth {depth}: use 18, 34, 50, 101 or 152 (ImageNet), "
            "or 6n+2 (CIFAR: 20, 32, 44, 56, 110)"
        )
    classes = num_classes if num_classes is not None else classes
    size = image_size if image_size is not None else size
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
    )


def vgg19_spec(*, num_classes: int | None = None, image_size: int | None = None) -> ModelSpec:
    """Return the spec of VGG-19, the reference net of the paper's Fig. 3 (left)."""
    classes = 1000 if num_classes is None else num_classes
    return ModelSpec(family=Family.VGG, depth=19, num_classes=classes, image_size=image_size or 224)


@dataclass(frozen=True, kw_only=True)
class QuantSpec:
    """How to quantize: u8 activations per tensor, s8 weights per channel, int32 biases.

    ``workers`` processes share the calibration images; ``calibration_cache`` is the folder where
    their statistics are kept, or None. Neither changes the result.

    Raises:
        SpecError: there are no workers.
    """

    calibration_method: CalibrationMethod = CalibrationMethod.MSE
    effort: Effort = Effort.FAST
    target_isa: TargetIsa = TargetIsa.PORTABLE
    samples: int = 512
    seed: int = 0
    exclude: tuple[str, ...] = ()
    workers: int = 1
    calibration_cache: Path | None = None

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise SpecError(f"cannot calibrate with {self.workers} workers: ask for at least one")


@dataclass(frozen=True, kw_only=True)
class SessionSpec:
    """How ONNX Runtime opens a file.

    ``threads`` 0 means the physical cores allowed here. ``spin``: idle threads wait actively,
    which is fastest when nothing else wants the cores.
    """

    threads: int = 0
    spin: bool = True
    optimization: Optimization = Optimization.ALL


@dataclass(frozen=True, kw_only=True)
class BenchSpec:
    """How to measure: each subject in its own process, interleaved in rounds.

    ``threads`` 0 means the physical cores allowed here. ``time_limit`` is in seconds, for all
    rounds together: where it is too short, rounds get fewer runs, then there are fewer rounds.

    Raises:
        SpecError: a count or a time is too small to measure anything.
    """

    batch_size: int = 1
    threads: int = 0
    rounds: int = 10
    runs_per_round: int = 10
    warmup_seconds: float = 1.0
    time_limit: float = 20.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.rounds < 1 or self.runs_per_round < 1:
            raise SpecError(
                f"nothing to measure: batch size {self.batch_size}, {self.rounds} rounds of "
                f"{self.runs_per_round} runs; each must be at least 1"
            )
        if self.threads < 0 or self.warmup_seconds < 0 or self.time_limit <= 0:
            raise SpecError(
                f"{self.threads} threads, {self.warmup_seconds} s of warm-up and a time limit "
                f"of {self.time_limit} s: none may be negative, and the limit must be positive"
            )


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """When two runs of a model count as equal.

    ``max_relative`` bounds max |difference| over max |reference|; ``min_sqnr_db`` and
    ``min_cosine`` bound signal to noise and direction of the logits; ``min_agreement`` is the
    share of samples with the same top-1. None: not checked.
    """

    max_relative: float | None = None
    min_sqnr_db: float | None = None
    min_cosine: float | None = None
    min_agreement: float | None = None


FP32_TOLERANCE = Tolerance(max_relative=1e-5, min_agreement=1.0)
"""Two float32 implementations of the same graph; only the order of sums differs."""

INT8_TOLERANCE = Tolerance(min_sqnr_db=15.0, min_cosine=0.98)
"""Int8 against fp32. A sound int8 ResNet has 25 to 45 dB; a broken layer leaves a few."""

INT8_MIN_AGREEMENT = 0.9
"""Top-1 agreement of int8 with fp32, asked of trained nets on at least 100 real images."""

ENOUGH_FOR_AGREEMENT = 100
