"""Confidence intervals: of a median from independent rounds, of a mean from few processes."""

from __future__ import annotations

import functools
import math
import statistics
import sys
from collections.abc import Sequence

CONFIDENCE = 0.99
"""Of every interval of a ratio.

At 95 %, one comparison in 20 of equal things may claim a difference; looking at the width after
each process makes that a little more. At 99 % it stays well below 1 in 50 (``bench/aa.py``).
"""

FEWEST_PROCESSES = 4
"""Below, the spread between processes is a guess, and so would be an interval made from it."""

ONE_PROCESS_LUCK = 1.03
"""By what factor a process of the same file may be faster than another, for no reason but luck.

An allowance, not a measurement: from one process each, no smaller difference is told.
"""

_LARGEST_LOG = math.log(sys.float_info.max)


class Estimated:
    """What is known within a confidence interval, ``interval``."""

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends."""
        raise NotImplementedError

    @property
    def low(self) -> float:
        """Lower end of the confidence interval."""
        return self.interval[0]

    @property
    def high(self) -> float:
        """Upper end of the confidence interval; infinite where too little was measured."""
        return self.interval[1]

    @property
    def confidence(self) -> float:
        """Of the interval."""
        return CONFIDENCE


def median_interval(values: tuple[float, ...], confidence: float = 0.95) -> tuple[float, float]:
    """Return an interval that holds the true median with at least ``confidence``.

    It runs from the k-th smallest to the k-th largest value. Each value is below the true
    median with probability 1/2, so the interval misses with probability 2 P(B < k), B being
    binomial(n, 1/2); k is the largest that keeps this within 1 - ``confidence``. Nothing is
    assumed about how times are distributed. Below 6 values even the extremes are not enough:
    the interval is then (0, inf).

    Source: H. A. David, H. N. Nagaraja, Order Statistics, 3rd ed., section 7.1.
    """
    count = len(values)
    below, missed = -1, 0.0
    while True:
        missed += 2 * math.comb(count, below + 1) / 2**count
        if missed > 1 - confidence:
            break
        below += 1
    if below < 0:
        return 0.0, math.inf
    ordered = sorted(values)
    return ordered[below], ordered[count - 1 - below]


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return Student's interval of the mean of at least 2 ``values``."""
    middle = statistics.fmean(values)
    error = statistics.stdev(values) / math.sqrt(len(values))
    reach = t_quantile(len(values) - 1, confidence) * error
    return middle - reach, middle + reach


def difference_interval(
    before: Sequence[float], after: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Return Welch's interval of mean(``after``) - mean(``before``), at least 2 values each.

    Source: B. L. Welch, Biometrika 34 (1947) 28-35. The degrees of freedom are rounded down.
    """
    first = statistics.variance(before) / len(before)
    second = statistics.variance(after) / len(after)
    middle = statistics.fmean(after) - statistics.fmean(before)
    if first + second == 0:
        return middle, middle
    freedom = (first + second) ** 2 / (first**2 / (len(before) - 1) + second**2 / (len(after) - 1))
    reach = t_quantile(max(1, math.floor(freedom)), confidence) * math.sqrt(first + second)
    return middle - reach, middle + reach


def of_logarithms(ends: tuple[float, float]) -> tuple[float, float]:
    """Return the interval whose ``ends`` are logarithms: from 0, and infinite beyond all floats."""
    low, high = (math.exp(end) if end < _LARGEST_LOG else math.inf for end in ends)
    return low, high


@functools.cache
def t_quantile(freedom: int, confidence: float) -> float:
    """Return t such that Student's distribution has ``confidence`` between -t and t.

    Found by bisection, to 12 digits.
    """
    low, high = 0.0, 1.0
    while _t_between(high, freedom) < confidence:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        if _t_between(middle, freedom) < confidence:
            low = middle
        else:
            high = middle
    return high


def _t_between(t: float, freedom: int) -> float:
    """Return Student's probability of (-t, t) for a whole number of degrees of freedom.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    theta = math.atan(t / math.sqrt(freedom))
    cosine = math.cos(theta)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = 0.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= cosine**2 * k / (k + 1)
    if odd:
        return 2 / math.pi * (theta + math.sin(theta) * total)
    return math.sin(theta) * total
