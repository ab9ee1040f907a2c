"""What the tensors of a net leave open: how it is fed and built, as answers that can be tried."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_deploy.spec import (
    ChannelOrder,
    InputContract,
    ModelSpec,
    Order,
    Padding,
    Pool,
    Shortcut,
    Stem,
    Variant,
)
from resnet_deploy.spec.input_contract import GREY_MEAN, GREY_STD, IMAGENET_MEAN, IMAGENET_STD
from resnet_deploy.spec.input_words import Numbers

_SMALL = 64
"""Pixels of the longest side up to which training crops pictures with a border around them."""


@dataclass(frozen=True)
class Scaling:
    """What becomes of grey levels: ``mean`` and ``std`` of red, green and blue (or grey)."""

    name: str
    range: tuple[float, float]
    mean: Numbers
    std: Numbers

    def over(self, contract: InputContract, order: ChannelOrder) -> InputContract:
        """Return ``contract`` with this scaling and channel order."""
        turn = -1 if order is ChannelOrder.BGR else 1
        return replace(
            contract,
            channel_order=order,
            range=self.range,
            mean=self.mean[::turn],
            std=self.std[::turn],
        )


UNIT, BYTES = (0.0, 1.0), (0.0, 255.0)
_ZERO, _ONE = (0.0,) * 3, (1.0,) * 3

WELL_KNOWN = (
    Scaling("ImageNet's mean and std", UNIT, IMAGENET_MEAN, IMAGENET_STD),
    Scaling("-1 to 1", UNIT, (0.5,) * 3, (0.5,) * 3),
    Scaling("0 to 1", UNIT, _ZERO, _ONE),
    Scaling("0 to 255", BYTES, _ZERO, _ONE),
    Scaling("0 to 255 minus Caffe's mean", BYTES, (123.68, 116.779, 103.939), _ONE),
    Scaling("0 to 1 minus ImageNet's mean", UNIT, IMAGENET_MEAN, _ONE),
    Scaling("CIFAR-10's", UNIT, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    Scaling("CIFAR-10's, std 0.2", UNIT, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    Scaling("CLIP's", UNIT, (0.4815, 0.4578, 0.4082), (0.2686, 0.2613, 0.2758)),
)
"""How pictures in colour are scaled; -1 to 1 is the same as mean and std 0.5."""

WELL_KNOWN_GREY = (
    Scaling("ImageNet's mean and std", UNIT, GREY_MEAN, GREY_STD),
    Scaling("-1 to 1", UNIT, (0.5,), (0.5,)),
    Scaling("0 to 1", UNIT, (0.0,), (1.0,)),
    Scaling("0 to 255", BYTES, (0.0,), (1.0,)),
    Scaling("MNIST's", UNIT, (0.1307,), (0.3081,)),
    Scaling("Fashion-MNIST's", UNIT, (0.2860,), (0.3530,)),
)


def scalings(contract: InputContract) -> dict[str, Scaling]:
    """Return the scalings to try, by name; the first one is that of ``contract``."""
    turn = -1 if contract.channel_order is ChannelOrder.BGR else 1
    mean, std = contract.mean[::turn], contract.std[::turn]
    low, high = contract.range
    held = Scaling(
        f"{low:g} to {high:g}, mean {_listed(mean)}, std {_listed(std)}", (low, high), mean, std
    )
    known = {1: WELL_KNOWN_GREY, 3: WELL_KNOWN}.get(contract.channels, ())
    same = next((other for other in known if _alike(held, other, contract)), None)
    if same is not None:
        held = replace(held, name=same.name)
    return {one.name: one for one in (held, *known) if one is held or one is not same}


def _alike(one: Scaling, other: Scaling, contract: InputContract) -> bool:
    """Whether both make the same input of a picture, up to rounding of published numbers."""
    order = ChannelOrder.of(contract.channels)
    first, second = one.over(contract, order), other.over(contract, order)
    levels = zip(first.levels, second.levels, strict=True)
    slopes = zip(first.slopes, second.slopes, strict=True)
    return all(abs(a - b) < 1.5 for a, b in levels) and all(
        abs(a / b - 1) < 0.02 for a, b in slopes
    )


def _listed(numbers: Numbers) -> str:
    return " ".join(f"{number:g}" for number in dict.fromkeys(numbers))


class TrainingCrop(str, enum.Enum):
    """How training cropped its pictures: its statistics are of what came of it.

    Nets for small pictures are trained on random crops of pictures with a border of an eighth,
    which is black or, where they are normalised first, zero.
    """

    NONE = "whole pictures"
    ZEROS = "crops with a border of zeros"
    BLACK = "crops with a black border"


def training_crops(contract: InputContract) -> tuple[TrainingCrop, ...]:
    """Return those that nets for pictures of this size are trained with."""
    return tuple(TrainingCrop) if contract.side <= _SMALL else (TrainingCrop.NONE,)


def fed(pixels: Tensor, contract: InputContract, crop: TrainingCrop) -> Tensor:
    """Return ``pixels``, uint8 ``(N, C, H, W)`` in RGB, RGBA or grey, as a net's input, float32."""
    if crop is TrainingCrop.BLACK:
        pixels = _cropped(pixels, pixels)
    x = pixels.float()
    if contract.channel_order is ChannelOrder.BGR:
        x = x.flip(1)
    shape = (1, -1, 1, 1)
    x = (x - torch.tensor(contract.levels).reshape(shape)) / torch.tensor(contract.slopes).reshape(
        shape
    )
    if crop is TrainingCrop.ZEROS:
        x = _cropped(x, pixels)
    return x.permute(0, 2, 3, 1) if contract.format.channels_last else x


def _cropped(x: Tensor, pixels: Tensor) -> Tensor:
    """Cut each picture out of one with a border of zeros, at a place that its pixels decide."""
    height, width = x.shape[2:]
    rows, columns = height // 8, width // 8
    framed = F.pad(x, (columns, columns, rows, rows))
    chosen = pixels.long().sum((1, 2, 3))
    top, left = chosen % (2 * rows + 1), chosen // 7 % (2 * columns + 1)
    return torch.stack(
        [
            picture[:, y : y + height, x : x + width]
            for picture, y, x in zip(framed, top.tolist(), left.tolist(), strict=True)
        ]
    )


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "ReLU": nn.ReLU,
    "ReLU6": nn.ReLU6,
    "LeakyReLU 0.01": nn.LeakyReLU,
    "LeakyReLU 0.1": lambda: nn.LeakyReLU(0.1),
    "ELU": nn.ELU,
    "SiLU": nn.SiLU,
    "GELU": nn.GELU,
    "Hardswish": nn.Hardswish,
}
"""What may stand where the paper's nets have a ReLU; none of them has weights."""


@dataclass(frozen=True)
class Guess:
    """How a net is built, as far as its tensors don't tell."""

    spec: ModelSpec
    activation: str = "ReLU"

    def build(self, rebuild: Callable[[ModelSpec], nn.Module]) -> nn.Module:
        """Return the net in eval mode; ``rebuild`` makes it of a spec, with its weights."""
        module = rebuild(self.spec).eval()
        if self.activation != "ReLU":
            for parent in list(module.modules()):
                for name, child in list(parent.named_children()):
                    if type(child) is nn.ReLU:
                        parent.add_module(name, ACTIVATIONS[self.activation]())
        return module


def answers(guess: Guess) -> dict[str, dict[str, Guess]]:
    """Return, by question and answer, the guesses that differ from ``guess`` in it alone.

    Each question has the answer of ``guess`` as well.
    """
    spec = guess.spec
    asked: dict[str, dict[str, Guess]] = {}
    if not spec.is_residual:
        return asked
    faces = spec.residual.order is Order.IRESNET
    if spec.stem is not Stem.IMAGENET and not faces:
        asked["stem"] = {
            stem.value: replace(guess, spec=replace(spec, stem=stem))
            for stem in (Stem.CIFAR, Stem.CIFAR_POOL)
        }
    if faces:  # its activations have weights, and what halves its maps is known
        return asked
    asked["activation"] = {name: replace(guess, activation=name) for name in ACTIVATIONS}
    if spec.shortcut in (Shortcut.A, Shortcut.A_END):
        asked["shortcut"] = {
            **{
                shortcut.value: replace(guess, spec=replace(spec, shortcut=shortcut, plain=False))
                for shortcut in (Shortcut.A, Shortcut.A_END)
            },
            "none": replace(guess, spec=replace(spec, plain=True)),
        }
    if spec.has_bottlenecks:
        asked["variant"] = {
            variant.value: replace(guess, spec=replace(spec, variant=variant))
            for variant in Variant
        }
    asked["pool"] = {p.value: replace(guess, spec=replace(spec, pool=p)) for p in Pool}
    # Caffe's padding differs in the stem's max-pool alone.
    pools = spec.stem is not Stem.CIFAR and not spec.residual.stem_conv_pool
    asked["padding"] = {
        p.value: replace(guess, spec=replace(spec, padding=p))
        for p in Padding
        if p is not Padding.CAFFE or pools or spec.padding is p
    }
    return asked


def answer_of(guess: Guess, question: str) -> str:
    """Return the answer that ``guess`` gives to a question of :func:`answers`."""
    found = answers(guess)[question].items()
    return next(name for name, other in found if other == guess)
