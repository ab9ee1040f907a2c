import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from resnet_deploy.errors import DatasetError
from resnet_deploy.quantization.histogram import BINS, Histogram
from resnet_deploy.quantization.ranges import Range, choose_range
from resnet_deploy.spec import CalibrationMethod

FLOATS = st.floats(-1e6, 1e6, width=32)
BATCHES = st.lists(arrays(np.float32, st.integers(1, 40), elements=FLOATS), min_size=1, max_size=6)


def counted(*batches: np.ndarray) -> Histogram:
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch)
    return histogram


def state(histogram: Histogram) -> tuple[object, ...]:
    return (
        histogram.exponent,
        histogram.zeros,
        histogram.low,
        histogram.high,
        histogram.counts.tolist(),
    )


@given(BATCHES, st.randoms(use_true_random=False))
def test_the_order_of_batches_does_not_matter(batches: list[np.ndarray], random: object) -> None:
    shuffled = list(batches)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert state(counted(*batches)) == state(counted(*shuffled))


@given(BATCHES, st.integers(0, 6))
def test_two_halves_merge_into_the_whole(batches: list[np.ndarray], cut: int) -> None:
    left, right = counted(*batches[:cut]), counted(*batches[cut:])
    left.merge(right)
    assert state(left) == state(counted(*batches))


@given(BATCHES)
def test_every_value_is_counted(batches: list[np.ndarray]) -> None:
    histogram = counted(*batches)
    total = sum(batch.size for batch in batches)
    assert histogram.zeros + histogram.counts.sum() == total
    assert len(histogram.counts) == BINS


@given(BATCHES)
def test_minmax_covers_everything_and_zero(batches: list[np.ndarray]) -> None:
    chosen = choose_range(counted(*batches), CalibrationMethod.MINMAX)
    values = np.concatenate(batches)
    assert chosen.low == min(0.0, float(values.min()))
    assert chosen.high == max(0.0, float(values.max()))


def test_activations_behind_relu_have_zero_point_0() -> None:
    values = np.maximum(np.random.default_rng(0).standard_normal(10_000), 0).astype(np.float32)
    for method in CalibrationMethod:
        assert choose_range(counted(values), method).zero_point == 0


def u8_error(values: np.ndarray, chosen: Range) -> float:
    codes = np.clip(np.rint(values / chosen.scale) + chosen.zero_point, 0, 255)
    return float((((codes - chosen.zero_point) * chosen.scale - values) ** 2).sum())


@pytest.mark.parametrize("shape", ["normal", "relu", "heavy"])
def test_least_error_is_not_worse_than_minmax(shape: str) -> None:
    values = np.random.default_rng(1).standard_normal(50_000)
    if shape == "relu":
        values = np.maximum(values, 0)
    if shape == "heavy":
        values = values**3
    values = values.astype(np.float32)
    histogram = counted(values)
    errors = {
        method: u8_error(values, choose_range(histogram, method)) for method in CalibrationMethod
    }
    assert errors[CalibrationMethod.MSE] <= errors[CalibrationMethod.MINMAX] * 1.01


def test_an_outlier_is_clipped() -> None:
    values = np.random.default_rng(2).uniform(0, 1, 1_000_000).astype(np.float32)
    values[0] = 2.0
    assert choose_range(counted(values), CalibrationMethod.MSE).high < 1.5


@pytest.mark.parametrize("method", CalibrationMethod)
def test_a_tensor_that_is_always_zero_still_has_a_scale(method: CalibrationMethod) -> None:
    chosen = choose_range(counted(np.zeros(7, np.float32)), method)
    assert float(chosen.scale) == 1.0
    assert int(chosen.zero_point) == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_and_infinity_are_refused_by_name(bad: float) -> None:
    with pytest.raises(DatasetError, match="activation layer1 is NaN or infinite"):
        Histogram().add(np.array([1, bad], np.float32), "layer1")


def test_nothing_counted() -> None:
    with pytest.raises(DatasetError, match="no calibration image"):
        choose_range(Histogram(), CalibrationMethod.MSE)


def test_the_percentile_leaves_out_one_in_a_hundred_thousand() -> None:
    values = np.linspace(-1, 1, 2_000_000, dtype=np.float32)
    values[:10] = -50.0
    chosen = choose_range(counted(values), CalibrationMethod.PERCENTILE)
    assert chosen.low == pytest.approx(-1, abs=0.02)
    assert chosen.high == pytest.approx(1, abs=0.02)


def test_zeros_count_for_the_percentile() -> None:
    values = np.zeros(1_000_000, np.float32)
    values[:5] = 7.0
    assert choose_range(counted(values), CalibrationMethod.PERCENTILE).high < 0.1


def test_entropy_clips_a_heavy_tail_and_keeps_a_flat_one() -> None:
    random = np.random.default_rng(3)
    tail = np.abs(random.standard_normal(200_000) ** 3).astype(np.float32)
    assert choose_range(counted(tail), CalibrationMethod.ENTROPY).high < 0.7 * float(tail.max())
    flat = random.uniform(0, 1, 200_000).astype(np.float32)
    assert choose_range(counted(flat), CalibrationMethod.ENTROPY).high > 0.9


@pytest.mark.parametrize("method", CalibrationMethod)
@given(batches=BATCHES)
def test_every_range_holds_zero_and_stays_inside_the_extremes(
    method: CalibrationMethod, batches: list[np.ndarray]
) -> None:
    histogram = counted(*batches)
    chosen = choose_range(histogram, method)
    assert min(histogram.low, 0) <= chosen.low <= 0 <= chosen.high <= max(histogram.high, 0)
