"""Ranges of what only a gate reads are those of least error behind the gate."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from resnet_deploy.passes.hard_gates import hard_gates
from resnet_deploy.quantization.histogram import Histogram
from resnet_deploy.quantization.plan import make_plan
from resnet_deploy.quantization.ranges import QuantizationParameters, choose_range
from resnet_deploy.quantization.responses import (
    HARD_SWISH,
    SIGMOID,
    SWISH,
    Response,
    responses,
)
from resnet_deploy.spec import CalibrationMethod
from tests.support.graphs import noise, parse


def graph(gate: str) -> ir.Model:
    text = f"""
    g (float[N, 3, 4, 4] x) => (float[N, 3, 4, 4] y) {{
        conv = Conv<kernel_shape = [1, 1]>(x, w, b)
        {gate}
        y = Conv<kernel_shape = [1, 1]>(act, w, b)
    }}
    """
    model: ir.Model = ir.from_proto(
        parse(text, {"w": noise(3, 3, 1, 1, seed=0), "b": noise(3, seed=1)})
    )
    hard_gates(model)
    return model


@pytest.mark.parametrize(
    ("gate", "response"),
    [
        ("act = HardSwish(conv)", HARD_SWISH),
        ("s = Sigmoid(conv)  act = Mul(conv, s)", SWISH),
        ("s = Sigmoid(conv)  act = Mul(s, conv)", SWISH),
        ("act = Sigmoid(conv)", SIGMOID),
        ("act = Relu(conv)", None),
        ("s = Sigmoid(conv)  m = Mul(conv, s)  act = Add(m, conv)", None),
        ("s = Sigmoid(conv)  m = Mul(conv, s)  act = Add(m, s)", None),
        ("act = Mul(conv, conv)", None),
    ],
)
def test_what_only_a_gate_reads_is_known(gate: str, response: Response | None) -> None:
    found = responses(make_plan(graph(gate)))
    assert found == ({} if response is None else {"conv": response})


@pytest.mark.parametrize("response", [SIGMOID, SWISH, HARD_SWISH])
def test_slopes_are_those_of_the_values(response: Response) -> None:
    x = np.linspace(-9.0, 9.0, 257)
    step = 1e-6
    measured = (response.value(x + step) - response.value(x - step)) / (2 * step)
    np.testing.assert_allclose(response.slope(x), measured, atol=1e-5)
    assert np.isfinite(response.value(np.array([-1e30, 1e30]))).all()


@pytest.mark.parametrize("response", [SWISH, HARD_SWISH])
def test_the_error_behind_the_gate_gets_less(response: Response) -> None:
    values = 4 * noise(100_000, seed=3)
    histogram = Histogram()
    histogram.add(values)

    def error(gate: Response | None) -> float:
        chosen = choose_range(histogram, CalibrationMethod.MSE, gate)
        rounded = QuantizationParameters.of(chosen).rounded(values)
        return float(((response.value(rounded) - response.value(values)) ** 2).mean())

    assert error(response) < 0.7 * error(None)
    with_gate = choose_range(histogram, CalibrationMethod.MSE, response)
    assert with_gate.low > choose_range(histogram, CalibrationMethod.MSE).low
