from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.results import Ratio
from resnet_deploy.results.interval import (
    ONE_PROCESS_LUCK,
    difference_interval,
    mean_interval,
    median_interval,
    t_quantile,
)


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(6, 0, 5), (8, 0, 7), (9, 1, 7), (10, 1, 8), (12, 2, 9), (20, 5, 14), (30, 9, 20)],
)
def test_the_interval_of_a_median_has_the_textbook_ranks(count, low, high):
    # Ranks of the sign test's 95 % interval, counted from 0.
    values = tuple(float(i) for i in range(count))
    assert median_interval(values) == (low, high)


def test_below_six_values_there_is_no_interval():
    assert median_interval((1.0, 1.1, 1.2, 1.3, 1.4)) == (0.0, math.inf)
    assert not Ratio(subject="a", reference="b", rounds=(2.0,) * 5, minima=2.0).differs


@given(st.lists(st.floats(0.1, 10), min_size=6, max_size=40), st.randoms())
def test_the_interval_holds_the_median_and_ignores_order(values, random):
    low, high = median_interval(tuple(values))
    assert low <= float(np.median(values)) <= high
    random.shuffle(values)
    assert median_interval(tuple(values)) == (low, high)


def test_the_interval_misses_no_more_often_than_it_says():
    generator = np.random.default_rng(0)
    draws = np.exp(generator.standard_normal((2000, 10)))  # skewed, true median 1
    intervals = [median_interval(tuple(draw)) for draw in draws.tolist()]
    assert sum(low <= 1 <= high for low, high in intervals) / len(intervals) >= 0.95


@pytest.mark.parametrize(
    ("freedom", "at_95", "at_99"),
    [
        (1, 12.706, 63.657),
        (2, 4.303, 9.925),
        (3, 3.182, 5.841),
        (4, 2.776, 4.604),
        (9, 2.262, 3.250),
        (30, 2.042, 2.750),
        (200, 1.972, 2.601),
    ],
)
def test_students_quantiles_are_those_of_the_tables(freedom, at_95, at_99):
    assert t_quantile(freedom, 0.95) == pytest.approx(at_95, abs=5e-4)
    assert t_quantile(freedom, 0.99) == pytest.approx(at_99, abs=5e-4)


def test_the_interval_of_a_mean_by_hand():
    # Standard deviation 1, four values: 2 +- 5.841 / 2.
    values = [2 - math.sqrt(1.5), 2.0, 2.0, 2 + math.sqrt(1.5)]
    assert mean_interval(values) == pytest.approx((2 - 2.9205, 2 + 2.9205), abs=1e-3)


def test_intervals_hold_the_truth_as_often_as_they_say():
    generator = np.random.default_rng(0)
    means = [mean_interval(sample) for sample in generator.normal(0, 1, (1000, 5)).tolist()]
    assert sum(low <= 0 <= high for low, high in means) / 1000 >= 0.98
    pairs = zip(
        generator.normal(0, 1, (1000, 4)).tolist(),
        generator.normal(0, 3, (1000, 7)).tolist(),
        strict=True,
    )
    differences = [difference_interval(before, after) for before, after in pairs]
    assert sum(low <= 0 <= high for low, high in differences) / 1000 >= 0.98


def test_values_without_spread_have_an_interval_without_width():
    assert difference_interval([1.0, 1.0], [3.0, 3.0]) == (2.0, 2.0)
    assert mean_interval([0.0] * 5) == (0.0, 0.0)


def ratio(rounds: tuple[float, ...], processes: tuple[int, ...] = ()) -> Ratio:
    return Ratio(subject="a", reference="b", rounds=rounds, minima=1.0, processes=processes)


def test_the_process_is_the_sampling_unit():
    # Many equal rounds in each of 4 processes that differ: the rounds don't narrow it.
    rounds = tuple(value for value in (1.00, 1.02, 0.99, 1.03) for _ in range(50))
    many = ratio(rounds, (50,) * 4)
    assert many.by_process == (1.00, 1.02, 0.99, 1.03)
    assert (many.confidence, many.differs) == (0.99, False)
    assert many.low < 0.99 < 1.03 < many.high
    assert many.low < many.median < many.high
    assert many.precision == pytest.approx((many.high - many.low) / (many.high + many.low))


def test_one_process_gets_an_allowance_for_its_luck():
    assert not ratio((1.02,) * 10).differs
    found = ratio((1.05,) * 10)
    assert found.differs
    assert found.low == pytest.approx(1.05 / ONE_PROCESS_LUCK)
    assert found.confidence == 0.99
    assert ratio((1.5,) * 7).precision == math.inf
