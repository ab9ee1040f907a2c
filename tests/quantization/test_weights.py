import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from resnet_deploy.quantization.kernels import can_overflow, safe_scale, weight_pairs
from resnet_deploy.quantization.weights import quantize_weights

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


def test_no_channel_gets_a_smaller_scale_than_asked() -> None:
    weight = np.array([[1.0, 0.5], [1.0, -1.0]])
    smallest = np.array([0.02, 0.001], np.float32)
    got = quantize_weights(weight, np.zeros(2), np.float32(1.0), smallest_scale=smallest)
    np.testing.assert_array_equal(got.scale, np.array([0.02, 1 / 127], np.float32))
    np.testing.assert_array_equal(got.weight, [[50, 25], [127, -127]])


@given(arrays(np.float32, (4, 6, 3, 3), elements=FLOATS))
def test_at_the_safe_scale_no_pair_of_codes_overflows(weight: np.ndarray) -> None:
    got = quantize_weights(weight, np.zeros(4), np.float32(1.0), smallest_scale=safe_scale(weight))
    assert not can_overflow(weight_pairs(got.weight)).any()
