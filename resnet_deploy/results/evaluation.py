"""Accuracy on labelled images, and predictions on single ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from resnet_deploy.results.environment import Environment
from resnet_deploy.results.parity import sqnr_db


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Another model on the same samples: its ranks and how close the logits are."""

    STATISTICS: ClassVar[tuple[str, ...]] = ("top1", "top5", "agreement", "sqnr_db")

    model: str
    sha256: str
    ranks: tuple[int, ...]
    top1_equal: tuple[bool, ...]
    signal_power: float
    noise_power: float

    @property
    def top1(self) -> float:
        """Share of samples whose true class has the highest logit."""
        return _share_below(self.ranks, 1)

    @property
    def top5(self) -> float:
        """Share of samples whose true class is among the five highest logits."""
        return _share_below(self.ranks, 5)

    @property
    def agreement(self) -> float:
        """Share of samples where both models pick the same class."""
        return sum(self.top1_equal) / len(self.top1_equal)

    @property
    def sqnr_db(self) -> float:
        """Signal to noise of the evaluated model's logits, this model being the reference."""
        return sqnr_db(self.signal_power, self.noise_power)


@dataclass(frozen=True, kw_only=True)
class EvalResult:
    """Accuracy on a dataset.

    ``ranks[i]`` is the rank of sample i's true class among its logits, 0 being the top.
    """

    STATISTICS: ClassVar[tuple[str, ...]] = ("samples", "top1", "top5")

    model: str
    sha256: str
    data: str
    ranks: tuple[int, ...]
    seconds: float
    against: Agreement | None = None
    environment: Environment | None = None

    @property
    def samples(self) -> int:
        """How many images were evaluated."""
        return len(self.ranks)

    @property
    def top1(self) -> float:
        """Share of samples whose true class has the highest logit."""
        return _share_below(self.ranks, 1)

    @property
    def top5(self) -> float:
        """Share of samples whose true class is among the five highest logits."""
        return _share_below(self.ranks, 5)


def _share_below(ranks: tuple[int, ...], k: int) -> float:
    return sum(rank < k for rank in ranks) / len(ranks)


@dataclass(frozen=True, kw_only=True)
class ScoredClass:
    """One class of a prediction."""

    index: int
    label: str
    probability: float
    logit: float


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The classes of one image, most likely first."""

    image: str
    classes: tuple[ScoredClass, ...]
