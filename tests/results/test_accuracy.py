"""Intervals and tests against published figures, brute force, and their own promise."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.results.accuracy import (
    expected_calibration_error,
    mcnemar_exact,
    paired_difference_interval,
    wilson_interval,
)

COUNTS = st.integers(0, 60)


@pytest.mark.parametrize(
    ("successes", "samples", "low", "high"),
    [
        # R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_as_published(successes, samples, low, high):
    assert wilson_interval(successes, samples) == pytest.approx((low, high), abs=5e-5)


@given(samples=st.integers(1, 50_000), share=st.floats(0, 1))
def test_wilson_interval_holds_the_share_and_mirrors(samples, share):
    successes = round(share * samples)
    low, high = wilson_interval(successes, samples)
    assert 0 <= low <= successes / samples <= high <= 1
    mirrored = wilson_interval(samples - successes, samples)
    assert (1 - high, 1 - low) == pytest.approx(mirrored, abs=1e-12)


@given(right=COUNTS, wrong=COUNTS)
def test_mcnemar_is_twice_the_binomial_tail(right, wrong):
    total = right + wrong
    tail = sum(math.comb(total, k) for k in range(min(right, wrong) + 1))
    assert mcnemar_exact(right, wrong) == float(min(Fraction(1), Fraction(2 * tail, 2**total)))
    assert mcnemar_exact(right, wrong) == mcnemar_exact(wrong, right)


def test_mcnemar_of_large_counts_is_the_normal_one():
    right, wrong = 15_200, 14_900
    z = (abs(right - wrong) - 1) / math.sqrt(right + wrong)
    assert mcnemar_exact(right, wrong) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-3)
    assert mcnemar_exact(0, 5000) == 0.0  # smaller than any float
    assert mcnemar_exact(0, 0) == 1.0


def test_paired_interval_as_published():
    # The example of ci.prop.ps in the R package statpsych, by Bonett himself.
    assert paired_difference_interval(26, 4, 48) == pytest.approx((0.2548067, 0.6251933), abs=1e-7)


@given(right=COUNTS, wrong=COUNTS, rest=COUNTS.map(lambda n: n + 1))
def test_paired_interval_mirrors_and_holds_the_difference(right, wrong, rest):
    samples = right + wrong + rest
    low, high = paired_difference_interval(right, wrong, samples)
    assert -1 <= low <= (right - wrong) / samples <= high <= 1
    assert paired_difference_interval(wrong, right, samples) == pytest.approx((-high, -low))


@pytest.mark.parametrize(
    ("samples", "gain", "loss"),
    [(50, 0.05, 0.05), (100, 0.05, 0.02), (1000, 0.002, 0.004), (5000, 0.006, 0.008)],
)
def test_paired_interval_covers_what_it_says(samples, gain, loss):
    # Exact: the sum over all counts that can be seen, each with its trinomial probability.
    covered = seen = 0.0
    for right in range(min(samples, 100)):
        for wrong in range(min(samples - right, 100)):
            log = (
                math.lgamma(samples + 1)
                - math.lgamma(right + 1)
                - math.lgamma(wrong + 1)
                - math.lgamma(samples - right - wrong + 1)
                + right * math.log(gain)
                + wrong * math.log(loss)
                + (samples - right - wrong) * math.log1p(-gain - loss)
            )
            low, high = paired_difference_interval(right, wrong, samples)
            seen += math.exp(log)
            covered += math.exp(log) * (low <= gain - loss <= high)
    assert seen == pytest.approx(1, abs=1e-6)
    assert 0.95 <= covered <= 0.99


def test_calibration_error_by_hand():
    # Bin 1/3..0.4 holds 0.4, 0.4 (half right: gap 0.1); the last one 0.95 (wrong: gap 0.95).
    error = expected_calibration_error([0.4, 0.4, 0.95], [True, False, False])
    assert error == pytest.approx((2 * 0.1 + 0.95) / 3)
    assert expected_calibration_error([1.0, 1.0], [True, True]) == 0
    assert expected_calibration_error([1.0], [False]) == 1
    # A bin ends with its upper bound: 1/3 is in the fifth of 15, 0.34 in the sixth.
    apart = expected_calibration_error([1 / 3, 0.34], [True, False])
    assert apart == pytest.approx((2 / 3 + 0.34) / 2)


@given(
    samples=st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40),
    seed=st.randoms(),
)
def test_calibration_error_is_at_most_one_and_does_not_depend_on_order(samples, seed):
    error = expected_calibration_error(*zip(*samples, strict=True))
    assert 0 <= error <= 1
    seed.shuffle(samples)
    assert expected_calibration_error(*zip(*samples, strict=True)) == pytest.approx(error)
    confidences, right = zip(*samples, strict=True)
    gap = abs(sum(confidences) - sum(right)) / len(samples)
    assert error >= gap - 1e-9  # one bin for all is the least that can be seen
