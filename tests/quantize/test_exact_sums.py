import math

import numpy as np
import onnx_ir as ir
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.quantize.codes import Codes
from resnet_deploy.quantize.exact_sums import align_sums, short_multiple
from resnet_deploy.quantize.plan import make_plan
from tests.passes.graphs import noise, parse, to_ir

scales = st.floats(2**-13, 8.0, width=32).map(np.float32)


def significant_bits(value: np.float32) -> int:
    mantissa = int(math.frexp(float(value))[0] * 2**24)
    return 24 - (mantissa & -mantissa).bit_length() + 1


@given(scale=scales, unit=scales)
def test_the_ratio_gets_few_bits_and_the_scale_hardly_moves(
    scale: np.float32, unit: np.float32
) -> None:
    got = short_multiple(scale, unit)
    assert significant_bits(got / unit) <= 16
    assert 1 - 1e-6 <= got / scale <= 1.002


@given(scale=scales, unit=scales, code=st.integers(0, 255), constant=st.floats(-300, 300, width=32))
def test_fused_and_separate_multiply_add_agree(
    scale: np.float32, unit: np.float32, code: int, constant: float
) -> None:
    ratio = short_multiple(scale, unit) / unit
    separate = np.float32(np.float32(code) * ratio) + np.float32(constant)
    fused = np.float32(float(code) * float(ratio) + float(np.float32(constant)))
    assert separate == fused


def test_every_addend_follows_its_sum() -> None:
    text = """
    g (float[N,8,4,4] x) => (float[N,8,4,4] y) {
      a = Conv<kernel_shape=[1,1]>(x, w1)
      s = Add(a, x)
      b = Conv<kernel_shape=[1,1]>(s, w2)
      y = Add(b, s)
    }
    """
    weights = {"w1": noise(8, 8, 1, 1), "w2": noise(8, 8, 1, 1, seed=1)}
    graph: ir.Model = to_ir(parse(text, weights))
    plan = make_plan(graph)
    rng = np.random.default_rng(0)
    codes = {
        str(value.name): Codes(np.float32(rng.uniform(0.01, 0.1)), np.uint8(120))
        for value in plan.ranged
    }

    aligned = align_sums(graph, plan, codes)

    assert aligned["y"] == codes["y"]
    for total, addends in {"y": "bs", "s": "ax"}.items():
        for addend in addends:
            ratio = aligned[addend].scale / aligned[total].scale
            assert significant_bits(ratio) <= 16
            assert aligned[addend].zero_point == codes[addend].zero_point
