"""Of a term in front of a ReLU, only what changes the result counts for its range."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from resnet_deploy.arrays import Array
from resnet_deploy.quantization.calibrate import observe
from resnet_deploy.quantization.histogram import Histogram
from resnet_deploy.quantization.plan import make_plan
from resnet_deploy.quantization.ranges import (
    QuantizationParameters,
    Range,
    choose_range,
)
from resnet_deploy.quantization.relu_sums import extended, relu_terms
from resnet_deploy.spec import CalibrationMethod
from tests.support.graphs import noise, parse

BLOCK = """
g (float[N,3,8,8] x) => (float[N,4,1,1] y) {
  s = Conv(x, w1)
  r = Relu(s)
  c = Conv(r, w2)
  a = Add(c, r)
  END
  y = GlobalAveragePool(z)
}
"""


def block(end: str = "z = Relu(a)") -> onnx.ModelProto:
    drawn = {"w1": noise(4, 3, 1, 1, seed=1), "w2": noise(4, 4, 1, 1, seed=2)}
    model: onnx.ModelProto = parse(BLOCK.replace("END", end), drawn)
    return model


def terms_of(model: onnx.ModelProto) -> list[str]:
    return [term.value for term in relu_terms(make_plan(ir.from_proto(model)))]


def test_terms_are_those_that_nothing_else_reads() -> None:
    assert terms_of(block()) == ["c"]
    assert terms_of(block("z = Conv(a, w2)")) == []
    assert terms_of(block("z0 = Relu(a)  z = Add(z0, c)")) == []


def counted(y: Array, x: Array) -> tuple[Histogram, Histogram]:
    """Return what is counted of the term ``y`` beside ``x``, by the graph itself."""
    model = parse(
        """
        g (float[N,3,8,8] x) => (float[N,3,8,8] z) {
          c = Mul(x, factor)
          d = Add(x, shift)
          a = Add(c, d)
          z = Relu(a)
        }
        """,
        {"factor": np.float32(-2), "shift": np.float32(1)},
    )
    term = next(t for t in relu_terms(make_plan(ir.from_proto(block()))) if t.value == "c")
    term = type(term)("c", "d", "z")
    before = model.SerializeToString()
    with extended(model, term.nodes()):
        found = observe(model, [term.active, term.inactive], [y], images=len(y), threads=1)
    assert model.SerializeToString() == before
    return found[term.active], found[term.inactive]


def test_what_is_counted_is_what_makes_a_difference() -> None:
    drawn = noise(32, 3, 8, 8, seed=3)
    active, inactive = counted(drawn, drawn)
    y, x = -2 * drawn, drawn + 1
    on = x + y > 0
    assert active.counts.sum() + active.zeros == y.size
    assert active.counts.sum() == np.count_nonzero(on)
    assert active.low == y[on].min()
    assert inactive.low == -np.maximum(x, 0)[~on].max()
    assert inactive.counts.sum() == np.count_nonzero(~on & (x > 0))


@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_the_error_behind_the_relu_gets_less(spread: float) -> None:
    y, x = 3 * noise(200_000, seed=4) - 2, np.maximum(spread * noise(200_000, seed=5), 0)
    on = x + y > 0
    active, inactive, plain = Histogram(), Histogram(), Histogram()
    active.add(np.where(on, y, 0))
    inactive.add(np.where(on, 0, -x))
    plain.add(y)

    def error(chosen: Range) -> float:
        rounded = QuantizationParameters.of(chosen).rounded(y)
        wrong = np.maximum(x + rounded, 0) - np.maximum(x + y, 0)
        return float(np.square(wrong).mean())

    chosen = choose_range(active, CalibrationMethod.MSE, inactive=inactive)
    assert error(chosen) < 0.8 * error(choose_range(plain, CalibrationMethod.MSE))
    # Nearly the best of all ranges; clipping counts twice.
    tried = [Range(low, chosen.high) for low in np.linspace(y.min(), -0.1, 200)]
    assert error(chosen) < 1.1 * min(error(each) for each in tried)
