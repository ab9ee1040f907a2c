import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from resnet_deploy.quantization.exchange import Exchange
from resnet_deploy.quantization.kernels import can_overflow
from resnet_deploy.quantization.rounding import (
    Compensation,
    Nearest,
    PairLimits,
    nearest_codes,
)


def correlated(depth: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixed = rng.standard_normal((4 * depth, depth)) @ rng.standard_normal((depth, depth))
    return np.asarray(np.cov(mixed.T).reshape(depth, depth))


def cost(codes: np.ndarray, steps: np.ndarray, covariance: np.ndarray) -> float:
    error = codes - steps
    return float(np.einsum("ok,kl,ol->", error, covariance, error))


@given(depth=st.integers(2, 40), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_codes_are_whole_and_in_range(depth: int, seed: int) -> None:
    steps = np.random.default_rng(seed).uniform(-140, 140, (5, depth))
    codes = Compensation(correlated(depth, seed)).codes(steps)
    assert np.array_equal(codes, np.rint(codes))
    assert np.abs(codes).max() <= 127


def test_the_output_changes_less_than_with_the_nearest_codes() -> None:
    gains = []
    for seed in range(10):
        steps = np.random.default_rng(seed).uniform(-100, 100, (16, 64))
        covariance = correlated(64, seed)
        codes = Compensation(covariance).codes(steps)
        nearest = cost(nearest_codes(steps), steps, covariance)
        gains.append(nearest / cost(codes, steps, covariance))
    assert min(gains) > 2


def test_two_inputs_that_are_one_share_the_error() -> None:
    """With equal inputs only the sum of the weights counts: 0.4 + 0.4 is nearer to 1 than to 0."""
    steps = np.array([[0.4, 0.4]])
    codes = Compensation(np.ones((2, 2)) + 1e-3 * np.eye(2)).codes(steps)
    assert codes.sum() == 1


def test_independent_inputs_get_the_nearest_codes() -> None:
    steps = np.random.default_rng(0).uniform(-100, 100, (4, 200))
    codes = Compensation(np.diag(np.linspace(1, 2, 200))).codes(steps)
    np.testing.assert_array_equal(codes, nearest_codes(steps))


def test_inputs_that_never_vary_get_the_nearest_codes() -> None:
    steps = np.array([[0.4, 0.4]])
    assert Compensation(np.zeros((2, 2))).codes(steps).tolist() == [[0, 0]]


def test_fewer_rows_than_weights_are_no_error() -> None:
    rows = np.random.default_rng(0).standard_normal((5, 300)).astype(np.float32)
    covariance = (rows.T @ rows).astype(np.float64) / 5
    codes = Compensation(covariance).codes(np.full((2, 300), 0.3))
    assert np.isfinite(codes).all()


@given(
    arrays(np.float64, (5, 12), elements=st.floats(-140, 140)),
    st.sampled_from([-128, -126]),
    st.integers(0, 5),
)
def test_no_pair_of_codes_is_beyond_its_limit(steps: np.ndarray, least: int, seed: int) -> None:
    """Whatever the weights, their importance and their covariance; -126 is zero point -1."""
    order = np.random.default_rng(seed).permutation(11)  # one weight is in no pair
    limits = PairLimits(first=order[:5], second=order[5:10], most=128, least=least)
    covariance = correlated(12, seed)
    zero_point = -1 if least == -126 else 0
    for rounder in (
        Compensation(covariance),
        Exchange(covariance),
        Nearest(np.diagonal(covariance)),
    ):
        codes = rounder.codes(steps, limits)
        assert np.abs(codes).max() <= 127
        assert not limits.exceeded(codes).any()
        stored = codes.astype(int) + zero_point
        pairs = np.stack([stored[:, limits.first], stored[:, limits.second]], axis=-1)
        assert not can_overflow(pairs).any()
    free = limits.safe_scale(steps) <= 1
    inside = np.where(free[:, None], steps, 0.0)
    np.testing.assert_array_equal(limits.nearest(inside), nearest_codes(inside))


def test_exchanges_bring_what_limits_cost() -> None:
    steps = np.random.default_rng(0).normal(0, 60, (64, 32))
    places = np.arange(32)
    limits = PairLimits(first=places[::2], second=places[1::2], most=128, least=-128)
    covariance = correlated(32, 3)
    plain, exchange = Compensation(covariance), Exchange(covariance)
    before, after = (one.error(steps, one.codes(steps, limits)) for one in (plain, exchange))
    assert (after <= before * (1 + 1e-4)).all()
    assert after.mean() < 0.8 * before.mean()
    np.testing.assert_array_equal(exchange.codes(steps), plain.codes(steps))


def test_inputs_that_never_vary_exchange_nothing() -> None:
    limits = PairLimits(first=np.array([0]), second=np.array([1]), most=128, least=-128)
    codes = Exchange(np.zeros((2, 2))).codes(np.array([[100.0, 100.0]]), limits)
    assert codes.tolist() == [[64, 64]]


def test_the_weight_that_matters_less_gives_way() -> None:
    limits = PairLimits(first=np.array([0]), second=np.array([1]), most=128, least=-128)
    steps = np.array([[100.0, 100.0], [-100.0, -100.0], [100.0, -100.0]])
    equal = Nearest(np.array([1.0, 1.0])).codes(steps, limits)
    assert equal.tolist() == [[64, 64], [-64, -64], [100, -100]]
    first = Nearest(np.array([1e6, 1.0])).codes(steps, limits)
    assert first.tolist() == [[100, 28], [-100, -28], [100, -100]]
    alone = np.diag([1e6, 1.0])
    assert Compensation(alone).codes(steps, limits).tolist() == first.tolist()
