"""How to train: one recipe is everything that decides the result, apart from data and network."""

from __future__ import annotations

import enum
import itertools
import math
from dataclasses import dataclass, fields

from resnet_deploy.errors import SpecError


class Schedule(str, enum.Enum):
    """How the learning rate moves over the run, after the warm-up.

    ``steps`` divides it by ten at :attr:`Recipe.milestones`; ``cosine`` is half a wave down to 0
    (arXiv:1608.03983, without restarts); ``one-cycle`` rises over :attr:`Recipe.warmup_epochs`
    and falls in a straight line to 0 (after arXiv:1708.07120).
    """

    CONSTANT = "constant"
    STEPS = "steps"
    COSINE = "cosine"
    ONE_CYCLE = "one-cycle"


class Augment(str, enum.Enum):
    """What training images go through; evaluation images never do.

    ``crop-flip`` pads by :attr:`Recipe.pad` and crops at random, then mirrors half of the images
    (He et al., section 4.2); ``crop`` mirrors none; ``resized-crop`` crops 8 to 100 %
    of the area at an aspect ratio of 3/4 to 4/3, resizes, and mirrors half (Szegedy et al.,
    arXiv:1409.4842; torchvision's default).
    """

    NONE = "none"
    CROP_FLIP = "crop-flip"
    CROP = "crop"
    RESIZED_CROP = "resized-crop"


class Precision(str, enum.Enum):
    """In what the forward and backward passes compute; weights and their updates are float32.

    ``bfloat16`` is PyTorch's autocast; ``auto`` is that where the CPU computes in it (AVX512-BF16
    or AMX), else float32.
    """

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    AUTO = "auto"


_LEAST = {"epochs": 1, "batch_size": 1, "lr_batch": 0, "pad": 0, "freeze": 0}
_MOST = 1_000_000
"""No count and no factor of a recipe means anything beyond it."""

_MOST_PAD = 256
"""A border is kept in memory around every picture of a batch, and is a few pixels."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train a classifier with SGD.

    Args:
        epochs: passes over the training images.
        batch_size: images per step, over all processes together.
        lr: the highest learning rate, for batches of ``lr_batch`` images; scaled linearly to
            ``batch_size`` (Goyal et al., arXiv:1706.02677). 0: not scaled.
        lr_batch: see ``lr``.
        momentum: of SGD.
        nesterov: use Nesterov's momentum.
        weight_decay: L2 penalty on the weights.
        decay_norms: whether BatchNorm's parameters and all biases decay as well.
        schedule: see :class:`Schedule`.
        milestones: shares of the run at which ``steps`` divides the rate by ten.
        warmup_epochs: over which the rate rises in a straight line from near 0.
        label_smoothing: probability that is spread over all classes (arXiv:1512.00567).
        mixup: alpha of Beta(alpha, alpha), by which two images are mixed (arXiv:1710.09412); 0
            mixes none.
        augment: see :class:`Augment`.
        pad: pixels of the mean colour around an image before ``crop-flip`` and ``crop``.
        precision: see :class:`Precision`.
        channels_last: keep pixels' channels together in memory, which CPUs convolve faster.
        ema: decay per step of the moving average of the weights that is evaluated and kept; 0 is
            none.
        clip_norm: largest norm of the gradient; 0 is no limit.
        zero_init: start residual branches with a last gamma of 0 (arXiv:1706.02677, 5.1), except
            where option A adds channels.
        freeze: how many parts stay as they are, counted from the image: 1 the stem, 2 layer1 too, …
        stage_decay: factor on the learning rate for each part further from the classifier; 1 is
            the same rate everywhere.
        sync_batchnorm: BatchNorm over the whole batch when several processes share it, so that
            their number does not change the result.
        compile: let TorchInductor compile the network, which needs a C++ compiler: half a minute at
            the start, then steps that are a quarter to a third faster.

    Raises:
        SpecError: a value that no training can have.
    """

    epochs: int = 90
    batch_size: int = 128
    lr: float = 0.1
    lr_batch: int = 0
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4
    decay_norms: bool = True
    schedule: Schedule = Schedule.COSINE
    milestones: tuple[float, ...] = ()
    warmup_epochs: float = 0.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    augment: Augment = Augment.CROP_FLIP
    pad: int = 4
    precision: Precision = Precision.FLOAT32
    channels_last: bool = True
    ema: float = 0.0
    clip_norm: float = 0.0
    zero_init: bool = False
    freeze: int = 0
    stage_decay: float = 1.0
    sync_batchnorm: bool = True
    compile: bool = False

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            most = _MOST_PAD if name == "pad" else _MOST
            self._check(name, least <= value <= most, f"must be from {least} to {most}")
        self._check("lr", self.lr > 0, "must be positive")
        for name in ("lr", "weight_decay", "warmup_epochs", "mixup", "clip_norm"):
            self._check(name, getattr(self, name) <= _MOST, f"must be at most {_MOST}")
        for name in ("weight_decay", "warmup_epochs", "mixup", "clip_norm"):
            self._check(name, getattr(self, name) >= 0, "must not be negative")
        for name in ("momentum", "label_smoothing", "ema"):
            self._check(name, 0 <= getattr(self, name) < 1, "must be in [0, 1)")
        self._check("stage_decay", 0 < self.stage_decay <= 1, "must be in (0, 1]")
        shares = (0.0, *self.milestones, 1.0)
        increasing = all(a < b for a, b in itertools.pairwise(shares))
        self._check("milestones", increasing, "must be increasing shares in (0, 1)")
        wanted = self.schedule is Schedule.STEPS
        self._check("milestones", bool(self.milestones) == wanted, "go with schedule steps alone")
        self._check("nesterov", self.momentum > 0 or not self.nesterov, "needs a momentum")
        short = self.warmup_epochs < self.epochs
        self._check("warmup_epochs", short, "must be shorter than the run")

    @property
    def peak_lr(self) -> float:
        """The highest learning rate at this batch size."""
        return self.lr * self.batch_size / self.lr_batch if self.lr_batch else self.lr

    def _check(self, name: str, holds: bool, rule: str) -> None:
        value = getattr(self, name)
        if isinstance(value, float) and not math.isfinite(value):
            raise SpecError(f"recipe: {name} = {value!r} must be a finite number")
        if not holds:
            raise SpecError(f"recipe: {name} = {value!r} {rule}")


RECIPE_FIELDS = tuple(entry.name for entry in fields(Recipe))
"""What a recipe's file may say."""
