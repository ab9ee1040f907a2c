"""What changed between two models on the same images: top-1, classes, confusions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from resnet_deploy.results.accuracy import Interval, mcnemar_exact, paired_difference_interval

MOST_CHANGES = 20
"""How many confusion changes are kept: with 1000 classes there are a million kinds."""

SIGNIFICANCE = 0.05
"""The p-value below which a difference is called significant."""


@dataclass(frozen=True, kw_only=True)
class PairedTop1:
    """A model's top-1 beside another's on the same images.

    ``newly_right`` images only the model gets right, ``newly_wrong`` only the other one.
    """

    DERIVED = ("difference", "interval", "p_value", "significant")

    samples: int
    newly_right: int
    newly_wrong: int

    @property
    def difference(self) -> float:
        """The model's top-1 minus the other's, as a share: -0.01 is one point lost."""
        return (self.newly_right - self.newly_wrong) / self.samples

    @property
    def interval(self) -> Interval:
        """95 % confidence interval of the difference."""
        return paired_difference_interval(self.newly_right, self.newly_wrong, self.samples)

    @property
    def p_value(self) -> float:
        """Two-sided p-value of the exact McNemar test."""
        return mcnemar_exact(self.newly_right, self.newly_wrong)

    @property
    def significant(self) -> bool:
        """Whether the difference is more than chance explains, by the McNemar test at 5 %."""
        return self.p_value < SIGNIFICANCE


def paired_top1(right: Sequence[bool], against: Sequence[bool]) -> PairedTop1:
    """Return what ``right[i]``, the model being right on sample i, says beside ``against[i]``."""
    pairs = Counter(zip(right, against, strict=True))
    return PairedTop1(
        samples=len(right), newly_right=pairs[True, False], newly_wrong=pairs[False, True]
    )


@dataclass(frozen=True, kw_only=True)
class ClassAccuracy:
    """How many of one class's ``samples`` the model gets right, and the other model if any."""

    DERIVED = ("top1", "against_top1", "difference")

    name: str
    samples: int
    right: int
    against_right: int | None = None

    @property
    def top1(self) -> float:
        """Share of the class's samples that the model gets right."""
        return self.right / self.samples

    @property
    def against_top1(self) -> float | None:
        """The same of the other model."""
        return None if self.against_right is None else self.against_right / self.samples

    @property
    def difference(self) -> float | None:
        """The model's share minus the other's: negative is lost."""
        if self.against_right is None:
            return None
        return (self.right - self.against_right) / self.samples


def class_accuracies(
    classes: Sequence[str],
    truth: Sequence[int],
    right: Sequence[bool],
    against: Sequence[bool] | None,
) -> tuple[ClassAccuracy, ...]:
    """Return the accuracy of each class that occurs in ``truth``, in the order of ``classes``."""
    samples = Counter(truth)
    hits = _hits(truth, right)
    others = None if against is None else _hits(truth, against)
    return tuple(
        ClassAccuracy(
            name=classes[label],
            samples=samples[label],
            right=hits[label],
            against_right=None if others is None else others[label],
        )
        for label in sorted(samples)
    )


def _hits(truth: Sequence[int], right: Sequence[bool]) -> Counter[int]:
    return Counter(label for label, one in zip(truth, right, strict=True) if one)


@dataclass(frozen=True, kw_only=True)
class ConfusionChange:
    """How many images of class ``truth`` turn from ``before`` (the other model) to ``after``."""

    truth: str
    before: str
    after: str
    samples: int


def confusion_changes(
    classes: Sequence[str], truth: Sequence[int], before: Sequence[int], after: Sequence[int]
) -> tuple[ConfusionChange, ...]:
    """Return the most frequent changes of the predicted class, at most 20, by frequency."""
    found = Counter(
        (label, old, new)
        for label, old, new in zip(truth, before, after, strict=True)
        if old != new
    )
    # Equally frequent ones in the order of their classes, whatever the order of the images.
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        ConfusionChange(
            truth=classes[label], before=classes[old], after=classes[new], samples=count
        )
        for (label, old, new), count in ordered[:MOST_CHANGES]
    )
