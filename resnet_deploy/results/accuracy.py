"""Right and wrong answers: intervals, calibration, and what changed between two models."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

Interval = tuple[float, float]

CALIBRATION_BINS = 15
"""Bins of equal width, as in Guo et al.; more of them only add noise."""

MOST_CHANGES = 20
"""How many confusion changes are kept: with 1000 classes there are a million kinds."""

SIGNIFICANCE = 0.05
"""The p-value below which a difference is called significant."""

_Z = 1.959963984540054
"""The standard normal's 97.5 % quantile: every interval here is a 95 % one."""


def wilson_interval(successes: int, samples: int) -> Interval:
    """Return the 95 % Wilson score interval of a proportion, within [0, 1].

    It covers well for proportions near 1 too, where the textbook ``p +- z s`` collapses.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
    JASA 22 (1927); recommended by Brown, Cai, DasGupta, Statistical Science 16 (2001).
    """
    share, weight = successes / samples, _Z**2 / samples
    centre = (share + weight / 2) / (1 + weight)
    half = _Z / (1 + weight) * math.sqrt(share * (1 - share) / samples + weight / (4 * samples))
    # The ends are exact where nothing or everything succeeds; rounding must not pass them.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == samples else min(1.0, centre + half)
    return low, high


def mcnemar_exact(newly_right: int, newly_wrong: int) -> float:
    """Return the two-sided p-value of the exact McNemar test.

    Where two equally accurate models disagree on what is right, each is right with probability
    1/2. The p-value is how likely a split at least as uneven as this one is then: twice the
    tail of binomial(n, 1/2). It is computed in whole numbers, so it is exact for any counts.

    Source: Q. McNemar, Note on the sampling error of the difference between correlated
    proportions or percentages, Psychometrika 12 (1947).
    """
    discordant = newly_right + newly_wrong
    term = tail = 1
    for count in range(min(newly_right, newly_wrong)):
        term = term * (discordant - count) // (count + 1)
        tail += term
    return min(1.0, tail / 2 ** (discordant - 1)) if discordant else 1.0


def paired_difference_interval(newly_right: int, newly_wrong: int, samples: int) -> Interval:
    """Return the 95 % interval of the difference of two paired proportions, within [-1, 1].

    The adjusted Wald interval: one is added to both counts of discordant pairs and two to the
    samples. Models of nearly the same weights have few discordant pairs. There it stays at or
    above its nominal coverage, where the plain Wald and the score intervals fall below it, and it
    does not shrink to nothing when no pair is discordant.

    Source: D. G. Bonett, R. M. Price, Adjusted Wald confidence interval for a difference of
    binomial proportions based on paired data, J. Educational and Behavioral Statistics 37 (2012).
    """
    right, wrong = ((count + 1) / (samples + 2) for count in (newly_right, newly_wrong))
    difference = right - wrong
    variance = (right + wrong - difference**2) / (samples + 2)
    half = _Z * math.sqrt(variance)
    return max(-1.0, difference - half), min(1.0, difference + half)


def expected_calibration_error(confidences: Sequence[float], right: Sequence[bool]) -> float:
    """Return how far confidence is from accuracy: 0 is perfect, 1 the worst.

    Samples are binned by confidence (the probability of the predicted class); bin m of 15 holds
    ((m - 1) / 15, m / 15]. The error is the mean over samples of |accuracy - mean confidence|
    of their bin.

    Source: Guo, Pleiss, Sun, Weinberger, On Calibration of Modern Neural Networks (ICML 2017),
    equation 3.
    """
    gaps = [0.0] * CALIBRATION_BINS
    for confidence, hit in zip(confidences, right, strict=True):
        bin_number = max(1, math.ceil(confidence * CALIBRATION_BINS))
        gaps[min(bin_number, CALIBRATION_BINS) - 1] += hit - confidence
    return sum(map(abs, gaps)) / len(confidences)


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

    @property
    def can_differ(self) -> bool:
        """Whether any answers to so few samples could be a significant difference."""
        return mcnemar_exact(0, self.samples) < SIGNIFICANCE


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
    hits = Counter(itertools.compress(truth, right))
    reference = None if against is None else Counter(itertools.compress(truth, against))
    return tuple(
        ClassAccuracy(
            name=classes[label],
            samples=samples[label],
            right=hits[label],
            against_right=None if reference is None else reference[label],
        )
        for label in sorted(samples)
    )


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
