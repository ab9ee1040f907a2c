"""Answers that are not one class: any number of labels, and embeddings."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_deploy.results.base import Result
from resnet_deploy.results.closeness import SignalToNoise, share
from resnet_deploy.results.environment import Environment
from resnet_deploy.spec import InputContract


@dataclass(frozen=True, kw_only=True)
class LabelCounts:
    """One label on all images: decisions that are right and wrong, and its average precision.

    ``average_precision`` is the mean of the precisions at each image that has the label, in the
    order of their scores; None where no image has it, or every one.
    """

    name: str
    true_positives: int
    false_positives: int
    false_negatives: int
    average_precision: float | None


@dataclass(frozen=True, kw_only=True)
class AnswerAgreement(SignalToNoise):
    """Another model on the same images.

    ``answers_equal``: for each label that either gives to an image, whether both do; of embeddings,
    for each image, whether the nearest other one is the same. Empty where that could not fail.
    ``cosines`` are those of embeddings, image by image.
    """

    DERIVED = ("agreement", "mean_cosine", "least_cosine", "sqnr_db")

    model: str
    sha256: str
    answers_equal: tuple[bool, ...]
    signal_power: float
    noise_power: float
    cosines: tuple[float, ...] = ()

    @property
    def agreement(self) -> float | None:
        """Share of equal answers."""
        return share(self.answers_equal) if self.answers_equal else None

    @property
    def mean_cosine(self) -> float | None:
        """Mean over images of the cosine of both embeddings."""
        return sum(self.cosines) / len(self.cosines) if self.cosines else None

    @property
    def least_cosine(self) -> float | None:
        """The cosine of the image whose embedding changed most."""
        return min(self.cosines, default=None)


@dataclass(frozen=True, kw_only=True)
class AnswerResult(Result):
    """What the answers of a model are worth that gives no single class, and beside another's.

    ``output_kind`` is ``multi-label`` or ``embedding``. ``labels`` is of the first, for each label
    that images have; ``neighbours_right`` of the second: for each image, whether the nearest other
    one is of its class. ``not_compared`` says which checks could not be made, or could not have
    failed. ``skipped`` names images that could not be read.
    """

    DERIVED = ("mean_average_precision", "precision", "recall", "same_class")

    model: str
    sha256: str
    output_kind: str
    data: str
    samples: int
    seconds: float
    labels: tuple[LabelCounts, ...] = ()
    neighbours_right: tuple[bool, ...] = ()
    against: AnswerAgreement | None = None
    not_compared: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    environment: Environment | None = None
    preprocess: InputContract | None = None

    @property
    def mean_average_precision(self) -> float | None:
        """MAP: the mean over labels of their average precision."""
        found = [label.average_precision for label in self.labels]
        known = [value for value in found if value is not None]
        return sum(known) / len(known) if known else None

    @property
    def precision(self) -> float | None:
        """Share of the labels given that images have, over all labels."""
        right = sum(label.true_positives for label in self.labels)
        return _ratio(right, right + sum(label.false_positives for label in self.labels))

    @property
    def recall(self) -> float | None:
        """Share of the labels that images have that are given, over all labels."""
        right = sum(label.true_positives for label in self.labels)
        return _ratio(right, right + sum(label.false_negatives for label in self.labels))

    @property
    def same_class(self) -> float | None:
        """Share of images whose nearest other one is of the same class."""
        return share(self.neighbours_right) if self.neighbours_right else None


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
