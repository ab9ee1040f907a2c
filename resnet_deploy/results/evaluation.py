"""Accuracy on labelled images, and predictions on single ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from resnet_deploy.results.accuracy import (
    ClassAccuracy,
    ConfusionChange,
    Interval,
    PairedTop1,
    class_accuracies,
    confusion_changes,
    expected_calibration_error,
    paired_top1,
    wilson_interval,
)
from resnet_deploy.results.base import Result
from resnet_deploy.results.chance import chance_share, chance_text, is_at_chance
from resnet_deploy.results.closeness import SignalToNoise, share
from resnet_deploy.results.environment import Environment
from resnet_deploy.spec import InputContract


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What one model said to each sample.

    ``ranks[i]`` is the rank of sample i's true class among its logits, 0 being the top;
    ``predicted[i]`` the index in ``EvalResult.classes`` of the class on top; ``confidences[i]``
    its probability to 6 decimals, about what float32 logits determine. Results of earlier
    versions have ranks only. ``listed`` is how many classes the model names per sample, None if it
    has a value for each; ranks from there on are not known.
    """

    DERIVED: ClassVar[tuple[str, ...]] = (
        "top1",
        "top1_interval",
        "top5",
        "mean_confidence",
        "calibration_error",
    )

    model: str
    sha256: str
    ranks: tuple[int, ...]
    predicted: tuple[int, ...] = ()
    confidences: tuple[float, ...] = ()
    listed: int | None = None

    @property
    def right(self) -> tuple[bool, ...]:
        """Whether the true class has the highest logit, sample by sample."""
        return tuple(rank == 0 for rank in self.ranks)

    @property
    def top1(self) -> float:
        """Share of samples whose true class has the highest logit."""
        return self._share_below(1)

    @property
    def top1_interval(self) -> Interval:
        """95 % confidence interval of top-1, the images being a sample of all there could be."""
        return wilson_interval(sum(self.right), len(self.ranks))

    @property
    def top5(self) -> float | None:
        """Share of samples whose true class is among the five highest logits.

        None where the model names fewer classes.
        """
        return None if self.listed is not None and self.listed < 5 else self._share_below(5)

    @property
    def mean_confidence(self) -> float | None:
        """Mean probability of the predicted class."""
        return sum(self.confidences) / len(self.confidences) if self.confidences else None

    @property
    def calibration_error(self) -> float | None:
        """Expected calibration error of the predicted classes' probabilities."""
        if not self.confidences:
            return None
        return expected_calibration_error(self.confidences, self.right)

    def _share_below(self, k: int) -> float:
        return sum(rank < k for rank in self.ranks) / len(self.ranks)


@dataclass(frozen=True, kw_only=True)
class Agreement(Answers, SignalToNoise):
    """Another model's answers to the same samples, and how close the evaluated one's logits are."""

    DERIVED = (*Answers.DERIVED, "agreement", "sqnr_db")

    top1_equal: tuple[bool, ...]
    signal_power: float
    noise_power: float

    @property
    def agreement(self) -> float:
        """Share of samples where both models pick the same class."""
        return share(self.top1_equal)


@dataclass(frozen=True, kw_only=True)
class EvalResult(Answers, Result):
    """Accuracy on a dataset, and beside another model's.

    ``classes`` names the dataset's classes, then what else the model can answer; ``truth[i]`` is
    the index of sample i's class. ``skipped`` names the images that could not be read and were
    left out. ``preprocess`` is how they were prepared. ``untrained``: the model's weights are
    random by intention; a trained model at chance level fails the check.
    """

    DERIVED = (
        "samples",
        *Answers.DERIVED,
        "chance",
        "at_chance",
        "per_class",
        "paired",
        "confusion_changes",
        "calibration_drift",
        "confidence_drift",
    )

    data: str
    seconds: float
    classes: tuple[str, ...] = ()
    truth: tuple[int, ...] = ()
    skipped: tuple[str, ...] = ()
    against: Agreement | None = None
    untrained: bool = False
    environment: Environment | None = None
    preprocess: InputContract | None = None

    @property
    def samples(self) -> int:
        """How many images were evaluated."""
        return len(self.ranks)

    @property
    def chance(self) -> float | None:
        """Share that would be right if the answers had nothing to do with the images."""
        if not self.predicted or not self.truth:
            return None
        return chance_share(self.truth, self.predicted, len(self.classes))

    @property
    def at_chance(self) -> bool:
        """Whether the accuracy can't be told from chance, or is next to it."""
        known = self.chance
        return known is not None and is_at_chance(sum(self.right), self.samples, known)

    @property
    def passed(self) -> bool | None:
        """False for a trained model at chance level; accuracy alone is no verdict."""
        return False if self.at_chance and not self.untrained else None

    @property
    def chance_text(self) -> str:
        """What to think of answers at chance level, in one line."""
        right, chance = sum(self.right), self.chance or 0.0
        return chance_text(right, self.samples, chance, self.preprocess)

    def _failure(self) -> str:
        return self.chance_text

    @property
    def per_class(self) -> tuple[ClassAccuracy, ...]:
        """The accuracy of each class that has samples."""
        if not self.truth:
            return ()
        reference = None if self.against is None else self.against.right
        return class_accuracies(self.classes, self.truth, self.right, reference)

    @property
    def paired(self) -> PairedTop1 | None:
        """The difference in top-1 from the other model, its interval and its significance."""
        return None if self.against is None else paired_top1(self.right, self.against.right)

    @property
    def confusion_changes(self) -> tuple[ConfusionChange, ...]:
        """The most frequent changes of the predicted class from the other model to this one."""
        if self.against is None:
            return ()
        return confusion_changes(self.classes, self.truth, self.against.predicted, self.predicted)

    @property
    def calibration_drift(self) -> float | None:
        """The model's expected calibration error minus the other's."""
        reference = self.against
        return _minus(self.calibration_error, reference.calibration_error if reference else None)

    @property
    def confidence_drift(self) -> float | None:
        """The model's mean confidence minus the other's."""
        reference = self.against
        return _minus(self.mean_confidence, reference.mean_confidence if reference else None)


def _minus(own: float | None, reference: float | None) -> float | None:
    return None if own is None or reference is None else own - reference


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


@dataclass(frozen=True, kw_only=True)
class Predictions(Result):
    """What a model says is on each of some images.

    ``output_kind`` is what it gives: with ``multi-label`` an image has any number of classes.
    """

    model: str
    sha256: str
    predictions: tuple[Prediction, ...]
    output_kind: str = ""
    environment: Environment | None = None
    preprocess: InputContract | None = None
