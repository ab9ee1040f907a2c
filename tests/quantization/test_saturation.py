import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from resnet_deploy.quantization.kernels import can_overflow, safe_scale, weight_pairs

FLOATS = st.floats(-100, 100, width=32)
SHAPES = st.sampled_from([(3, 4, 3, 3), (2, 3, 3, 3), (3, 2, 1, 1), (2, 1, 2, 2), (3, 5)])
CODES = st.integers(-128, 127)


@given(SHAPES.flatmap(lambda shape: arrays(np.float32, shape, elements=FLOATS)), st.data())
def test_no_rounding_of_the_codes_can_overflow(weight: np.ndarray, data: st.DataObject) -> None:
    scale = safe_scale(weight) * data.draw(st.floats(1, 1.5, width=32))
    assert scale.dtype == np.float32
    largest = np.abs(weight.reshape(len(weight), -1)).max(axis=1) / 127
    scale = np.maximum(scale, largest).astype(np.float64)
    exact = weight / scale.reshape(-1, *[1] * (weight.ndim - 1))
    up = data.draw(arrays(np.bool_, weight.shape))
    codes = np.clip(np.where(up, np.ceil(exact), np.floor(exact)), -127, 127).astype(np.int8)
    away = np.clip(np.copysign(np.ceil(np.abs(exact)), exact), -127, 127).astype(np.int8)
    for rounded in (codes, away):
        assert not can_overflow(weight_pairs(rounded)).any()


@given(st.floats(2**-60, 2**60, width=32), st.floats(2**-60, 2**60, width=32))
def test_the_worst_pair_is_safe_at_the_scale_itself(first: float, second: float) -> None:
    """Also where float32 would round the scale down."""
    weight = np.array([[first, second]], np.float32)
    codes = np.ceil(weight / safe_scale(weight).astype(np.float64)).astype(int)
    assert codes.sum() <= 128


def test_the_scale_is_no_larger_than_it_must_be() -> None:
    weight = np.array([[1.0, 1.0], [1.0, 0.5], [1.0, -1.0], [0.0, 0.0], [-0.5, -1.0]], np.float32)
    expected = np.array([2, 1.5, 0, 0, 1.5]) / 127
    np.testing.assert_allclose(safe_scale(weight), expected, rtol=2e-7, atol=1e-40)
    # A little smaller, and rounding up takes both to 65 steps.
    codes = np.ceil(weight[:1] / (safe_scale(weight)[:1] * 0.97)).astype(np.int8)
    assert can_overflow(weight_pairs(codes)).all()


@given(CODES, CODES)
def test_overflow_is_decided_as_if_all_activations_were_tried(first: int, second: int) -> None:
    corners = [a * first + b * second for a in (0, 255) for b in (0, 255)]
    expected = max(corners) > 32767 or min(corners) < -32768
    assert can_overflow(np.array([first, second], np.int8)) == expected


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ((127, 1), False),
        ((127, 2), True),
        ((64, 64), False),
        ((64, 65), True),
        ((127, -127), False),
        ((-128, 127), False),
        ((-64, -64), False),
        ((-64, -65), True),
        ((-128, 0), False),
        ((-128, -1), True),
    ],
)
def test_limits(codes: tuple[int, int], expected: bool) -> None:
    assert can_overflow(np.array(codes, np.int8)) == expected


def test_neighbouring_inputs_of_one_tap_are_pairs() -> None:
    weight = np.array([0, 1, 10, 11, 20, 21, 30, 31]).reshape(1, 4, 1, 2)  # input, tap
    assert weight_pairs(weight).tolist() == [[[0, 10], [20, 30], [1, 11], [21, 31]]]


def test_an_odd_number_of_inputs_pairs_across_taps() -> None:
    weight = np.array([0, 1, 2, 10, 11, 12, 20, 21, 22]).reshape(1, 3, 1, 3)
    assert weight_pairs(weight).tolist() == [[[0, 10], [20, 1], [11, 21], [2, 12], [22, 0]]]


def test_pairs_of_a_linear_layer_lie_along_its_inputs() -> None:
    weight = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    assert weight_pairs(weight).tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    assert weight_pairs(weight.T, axis=1).tolist() == weight_pairs(weight).tolist()
