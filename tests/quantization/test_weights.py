import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from resnet_deploy.quantization.kernels import can_overflow, pair_limits, weight_pairs
from resnet_deploy.quantization.moments import Moments
from resnet_deploy.quantization.rounding import Compensation, Nearest, PairLimits
from resnet_deploy.quantization.weights import QuantizedWeights, quantize_weights
from tests.support.graphs import parse, to_ir


def limits_of(weight: np.ndarray) -> PairLimits:
    text = f"g (float[N,{weight.shape[1]},8,8] x) => (float[N,a,b,c] y) {{ y = Conv(x, w) }}"
    (node,) = to_ir(parse(text, {"w": weight})).graph
    limits = pair_limits(node, weight, 0)
    assert limits is not None
    return limits


FLOATS = st.floats(-100, 100, width=32)


@given(
    weight=arrays(np.float32, (4, 3, 2, 2), elements=FLOATS),
    bias=arrays(np.float32, 4, elements=FLOATS),
    input_scale=st.floats(2**-20, 8, width=32).map(np.float32),
)
def test_codes_stand_for_the_weights_within_half_a_step(
    weight: np.ndarray, bias: np.ndarray, input_scale: np.float32
) -> None:
    got = quantize_weights(weight, bias, input_scale)

    assert got.weight.dtype == np.int8
    assert np.abs(got.weight.astype(int)).max() <= 127
    scale = got.scale.astype(np.float64).reshape(4, 1, 1, 1)
    assert np.all(np.abs(got.weight * scale - weight) <= scale * 0.5001)
    bias_scale = got.bias_scale.astype(np.float64)
    assert np.all(np.abs(got.bias * bias_scale - bias) <= bias_scale * 0.5001)


@given(arrays(np.float32, (4, 3, 1, 1), elements=FLOATS), st.floats(2**-20, 8, width=32))
def test_the_bias_scale_is_exactly_the_product(weight: np.ndarray, scale: float) -> None:
    """ONNX Runtime runs the layer in float if it is not (CheckConvBiasScale)."""
    got = quantize_weights(weight, np.zeros(4), np.float32(scale))
    np.testing.assert_array_equal(got.bias_scale, np.float32(scale) * got.scale)


def test_a_dead_channel_with_a_bias_does_not_overflow() -> None:
    weight = np.zeros((2, 1, 1, 1), np.float32)
    weight[0] = 1e-12
    got = quantize_weights(weight, np.array([5.0, -5.0]), np.float32(1e-3))
    recovered = got.bias * got.bias_scale.astype(np.float64)
    np.testing.assert_allclose(recovered, [5.0, -5.0], rtol=1e-3)


def test_channels_of_a_gemm_without_transb_are_columns() -> None:
    weight = np.array([[1.0, 100.0], [-0.5, 50.0]])
    got = quantize_weights(weight, np.zeros(2), np.float32(1.0), axis=1)
    np.testing.assert_array_equal(got.weight, [[127, 127], [-64, 64]])


def test_a_nearly_dead_channel_leaves_room_for_its_sum() -> None:
    """With the bias alone at the end of int32, adding the products would wrap around."""
    weight = np.full((1, 512, 3, 3), 1e-8, np.float32)
    weight[0, 0, 0, 0] = 1e-7
    got = quantize_weights(weight, np.array([0.1]), np.float32(0.01))
    largest_sum = 255 * np.abs(got.weight.astype(np.int64)).sum()
    assert abs(int(got.bias[0])) + largest_sum < 2**31


@given(arrays(np.float32, (4, 6, 3, 3), elements=FLOATS))
def test_without_moments_no_pair_of_codes_overflows_and_none_is_clipped(weight: np.ndarray) -> None:
    got = quantize_weights(weight, np.zeros(4), np.float32(1.0), limits=limits_of(weight))
    assert not can_overflow(weight_pairs(got.weight)).any()
    scale = got.scale.astype(np.float64).reshape(4, 1, 1, 1)
    assert np.all(np.abs(got.weight * scale - weight) <= scale * 0.5001)


@given(arrays(np.float32, (4, 3, 3, 3), elements=FLOATS))
def test_in_any_order_no_two_codes_of_a_channel_overflow(weight: np.ndarray) -> None:
    got = quantize_weights(
        weight, np.zeros(4), np.float32(1.0), limits=limits_of(weight), any_order=True
    )
    codes = np.sort(got.weight.reshape(4, -1), axis=1)
    assert not can_overflow(codes[:, :2]).any()
    assert not can_overflow(codes[:, -2:]).any()


def with_moments(weight: np.ndarray, *, covariance: bool, limited: bool) -> QuantizedWeights:
    random = np.random.default_rng(0)
    rows = random.standard_normal((1, 400, weight[0].size)).astype(np.float32)
    rows = rows + 3 * rows[..., :1]  # neighbours are alike
    moments = Moments(covariance=covariance)
    moments.add(rows, rows)
    limits = limits_of(weight) if limited else None
    return quantize_weights(
        weight, np.zeros(len(weight)), np.float32(1.0), limits=limits, moments=moments
    )


@pytest.mark.parametrize("covariance", [False, True])
@pytest.mark.parametrize("shape", [(64, 8, 3, 3), (32, 3, 3, 3)])
def test_only_channels_that_would_overflow_are_rounded_under_the_limits(
    covariance: bool, shape: tuple[int, ...]
) -> None:
    weight = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    weight[::2, 0, 1, 1] *= 4  # one weight that is large alone, pairs with none
    free, limited = (
        with_moments(weight, covariance=covariance, limited=limited) for limited in (False, True)
    )
    risky = can_overflow(weight_pairs(free.weight)).any(axis=1)
    assert 0 < risky.sum() < len(weight)
    assert not can_overflow(weight_pairs(limited.weight)).any()
    np.testing.assert_array_equal(limited.weight[~risky], free.weight[~risky])
    np.testing.assert_array_equal(limited.scale[~risky], free.scale[~risky])


@pytest.mark.parametrize("covariance", [False, True])
def test_limits_cost_less_than_a_bit(covariance: bool) -> None:
    """They are never worse for a channel than seven bits for all its weights, the usual way."""
    weight = np.random.default_rng(2).standard_normal((48, 4, 3, 3)).astype(np.float32)
    w = weight.reshape(48, -1).astype(np.float64)
    rows = np.random.default_rng(3).standard_normal((2000, 36))
    rows += 2 * rows[:, :1]
    matrix = np.cov(rows.T)
    rounder = Compensation(matrix) if covariance else Nearest(np.diagonal(matrix))
    moments = Moments(covariance=covariance)
    moments.add(rows[None].astype(np.float32), rows[None].astype(np.float32))
    limits = limits_of(weight)
    got = quantize_weights(weight, np.zeros(48), np.float32(1.0), limits=limits, moments=moments)

    def error(codes: np.ndarray, scale: np.ndarray) -> np.ndarray:
        return np.asarray(rounder.error(w / scale[:, None], codes) * scale**2)

    seven = np.abs(w).max(axis=1) / 63
    ours = error(got.weight.reshape(48, -1).astype(np.float64), got.scale.astype(np.float64))
    theirs = error(rounder.codes(w / seven[:, None]), seven)
    assert (ours <= theirs * 1.001).all()
    assert ours.sum() < 0.6 * theirs.sum()
