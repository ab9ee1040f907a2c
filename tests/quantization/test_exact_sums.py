import math

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_deploy.quantization.exact_sums import align_sums, exact_pair
from resnet_deploy.quantization.plan import make_plan
from resnet_deploy.quantization.ranges import QuantizationParameters
from tests.support.graphs import noise, parse, to_ir

ratios = st.floats(0.1, 2.5)
zeros = st.integers(0, 255)


def codes(scale: float, zero: int = 0) -> QuantizationParameters:
    return QuantizationParameters(np.float32(scale), np.uint8(zero))


def on_x86(
    first: QuantizationParameters, second: QuantizationParameters, total: QuantizationParameters
) -> np.ndarray:
    """Every sum in float32, halves to even."""
    a, b = np.arange(256, dtype=np.float32)[:, None], np.arange(256, dtype=np.float32)
    ra, rb = first.scale / total.scale, second.scale / total.scale
    fixed = np.float32(total.zero_point) - (
        ra * np.float32(first.zero_point) + rb * np.float32(second.zero_point)
    )
    return np.asarray(np.clip(np.rint((a * ra + fixed) + b * rb), 0, 255))


def on_arm64(
    first: QuantizationParameters, second: QuantizationParameters, total: QuantizationParameters
) -> np.ndarray:
    """Every sum in fixed point, the larger multiplier of 22 bits, halves upwards."""
    ra, rb = first.scale / total.scale, second.scale / total.scale
    shift = 21 - (math.frexp(float(max(ra, rb)))[1] - 1)
    ma, mb = (round(math.ldexp(float(ratio), shift)) for ratio in (ra, rb))
    a = np.arange(256)[:, None] - int(first.zero_point)
    b = np.arange(256) - int(second.zero_point)
    steps = (a * ma + b * mb + (1 << (shift - 1))) >> shift
    return np.asarray(np.clip(steps + int(total.zero_point), 0, 255))


@given(ra=ratios, rb=ratios, za=zeros, zb=zeros)
@settings(max_examples=60, deadline=None)
def test_both_kinds_of_arithmetic_agree_on_every_pair_of_codes(
    ra: float, rb: float, za: int, zb: int
) -> None:
    total = codes(0.0237)
    first, second = codes(0.0237 * ra, za), codes(0.0237 * rb, zb)
    pair = exact_pair(first, second, total)
    assert pair is not None
    np.testing.assert_array_equal(on_x86(*pair, total), on_arm64(*pair, total))
    for before, after in zip((first, second), pair, strict=True):
        assert 1 - 1e-6 <= after.scale / before.scale <= 1.0101
        assert after.zero_point == before.zero_point


def test_without_it_they_differ_on_some() -> None:
    first, second, total = codes(0.03 * 0.75), codes(0.03 * 1.25, 128), codes(0.03)
    assert (on_x86(first, second, total) != on_arm64(first, second, total)).any()


@pytest.fixture
def stream() -> ir.Model:
    text = """
    g (float[N,8,4,4] x) => (float[N,8,4,4] y) {
      a = Conv<kernel_shape=[1,1]>(x, w1)
      s = Add(a, x)
      b = Conv<kernel_shape=[1,1]>(s, w2)
      y = Add(b, s)
    }
    """
    weights = {"w1": noise(8, 8, 1, 1), "w2": noise(8, 8, 1, 1, seed=1)}
    return to_ir(parse(text, weights))


def test_addends_follow_their_sum_along_a_residual_stream(stream: ir.Model) -> None:
    plan = make_plan(stream)
    rng = np.random.default_rng(0)
    before = {str(value.name): codes(rng.uniform(0.02, 0.04), 120) for value in plan.ranged}

    after = align_sums(stream, plan, before)

    assert after["y"] == before["y"]
    for first, second, total in (("b", "s", "y"), ("a", "x", "s")):
        triple = after[first], after[second], after[total]
        np.testing.assert_array_equal(on_x86(*triple), on_arm64(*triple))


def test_the_sum_of_a_tensor_with_itself_is_left_alone() -> None:
    graph = to_ir(parse("g (float[N,8] x) => (float[N,8] y) { y = Add(x, x) }"))
    before = {"x": codes(0.03), "y": codes(0.05)}
    assert align_sums(graph, make_plan(graph), before) == before
