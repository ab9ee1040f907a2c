import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_deploy.quantization.rounding import Compensation, nearest_codes


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
