"""Operators of the CNN families that users bring, each between two convolutions.

What ONNX Runtime runs of them is read from the graph it optimised; nothing is timed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.quantization.inspection import inspect_int8
from resnet_deploy.quantization.static import quantize_static
from resnet_deploy.results import Inspection
from resnet_deploy.spec import QuantSpec
from tests.support.graphs import noise, parse, run

PIXELS = 8

INT8 = {
    "Sigmoid": "b = Sigmoid(a)",
    "HardSigmoid": "b = HardSigmoid(a)",
    "HardSwish": "b = HardSwish(a)",
    "SiLU": "s = Sigmoid(a)  b = Mul(a, s)",
    "squeeze and excitation": "p = GlobalAveragePool(a)  s = Sigmoid(p)  b = Mul(a, s)",
    "ReLU6": "b = Clip(a, zero, six)",
    "LeakyRelu": "b = LeakyRelu<alpha = 0.1>(a)",
    "PRelu": "b = PRelu(a, slope)",
    "Concat": "r = Relu(a)  b = Concat<axis = 1>(a, r)",
    "Split, one part": "b, c = Split<axis = 1>(a, sizes)",
    "Split, both parts": "c, d = Split<axis = 1>(a, sizes)  b = Concat<axis = 1>(d, c)",
    "Split, same sizes": "b, c = Split<axis = 1, num_outputs = 2>(a)",
    "Resize": 'b = Resize<mode = "nearest">(a, , scales)',
    "Slice": "b = Slice(a, low, high, one)",
    "Pad": "b = Pad(a, pads)",
    "channel shuffle": """
        u = Reshape(a, apart)
        v = Transpose<perm = [0, 2, 1, 3, 4]>(u)
        b = Reshape(v, together)
    """,
    "Gather": "b = Gather<axis = 1>(a, order)",
    "AveragePool": "b = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(a)",
    "AveragePool with a border": "b = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(a)",
    "AveragePool, dilated": "b = AveragePool<kernel_shape = [2, 2], dilations = [2, 2]>(a)",
    "GlobalAveragePool": "b = GlobalAveragePool(a)",
    "MaxPool, upwards": "b = MaxPool<kernel_shape = [3, 3], ceil_mode = 1, strides = [2, 2]>(a)",
    "MaxPool, dilated": "b = MaxPool<kernel_shape = [3, 3], dilations = [2, 2]>(a)",
}

FLOAT = {
    "GELU": ("b = Gelu(a)", {"Gelu"}),
    "GELU with Erf": (
        """
        d = Div(a, root)
        e = Erf(d)
        f = Add(e, unit)
        g = Mul(a, f)
        b = Mul(g, half)
        """,
        {"Clip", "Gelu"},
    ),
    "LRN": ("b = LRN<size = 5>(a)", {"LRN"}),
}

CONSTANTS = {
    "two": np.float32(2),
    "pixels": np.array([2, 3]),
    "zero": np.float32(0),
    "six": np.float32(6),
    "unit": np.float32(1),
    "half": np.float32(0.5),
    "root": np.float32(np.sqrt(2)),
    "slope": np.abs(noise(16, 1, 1, seed=5)) / 4,
    "scales": np.array([1, 1, 2, 2], np.float32),
    "sizes": np.array([8, 8]),
    "low": np.array([0]),
    "high": np.array([8]),
    "one": np.array([1]),
    "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    "apart": np.array([0, 2, 8, PIXELS, PIXELS]),
    "together": np.array([0, 16, PIXELS, PIXELS]),
    "order": np.arange(16)[::-1].copy(),
}


def net(operator: str) -> onnx.ModelProto:
    """Return a convolution, ``operator`` from a to b, and a convolution."""
    words = set(operator.replace("(", " ").replace(")", " ").replace(",", " ").split())
    weights = {name: array for name, array in CONSTANTS.items() if name in words}
    channels = 8 if operator.startswith(("b, c", "b = Slice")) else 16
    channels = 32 if operator.endswith("Concat<axis = 1>(a, r)") else channels
    weights |= {"w": noise(16, 16, 3, 3, seed=1) / 10, "bias": noise(16)}
    weights |= {"w2": noise(32, channels, 1, 1, seed=2) / 5}
    text = f"""
    g (float[N, 16, {PIXELS}, {PIXELS}] x) => (float[N, 32, H, W] y) {{
        a = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x, w, bias)
        {operator}
        y = Conv<kernel_shape = [1, 1]>(b, w2)
    }}
    """
    model: onnx.ModelProto = parse(text, weights, opset=20)
    return model


def quantized(operator: str, path: Path) -> Inspection:
    """Return what runs in int8 of ``operator``, once it is close to fp32."""
    model, x = net(operator), noise(2, 16, PIXELS, PIXELS, seed=3)
    int8 = quantize_static(model, QuantSpec(), [x], images=2, threads=1).write()
    onnx.save(int8, path)
    wanted, found = run(model, x), run(int8, x, optimise=True)
    assert 10 * np.log10((wanted**2).sum() / ((wanted - found) ** 2).sum()) > 30
    return inspect_int8(path)


@pytest.mark.parametrize("operator", INT8.values(), ids=INT8.keys())
def test_it_runs_in_int8(operator: str, tmp_path: Path) -> None:
    inspection = quantized(operator, tmp_path / "m.onnx")
    assert inspection.float_ops == ()
    # The picture is turned once on the way in and once on the way out, and quantized once.
    assert inspection.op_counts["Transpose"] == 2
    assert inspection.op_counts["QuantizeLinear"] == inspection.op_counts["DequantizeLinear"] == 1


@pytest.mark.parametrize(("operator", "kinds"), FLOAT.values(), ids=FLOAT.keys())
def test_it_is_float_on_purpose_and_one_operator(
    operator: str, kinds: set[str], tmp_path: Path
) -> None:
    inspection = quantized(operator, tmp_path / "m.onnx")
    found = {op.op_type for op in inspection.float_ops}
    assert found - {"Transpose"} == {*kinds, "QuantizeLinear", "DequantizeLinear"}
    assert inspection.passed
    assert inspection.op_counts["DequantizeLinear"] == 2


def test_a_norm_that_is_written_out_is_float_on_purpose(tmp_path: Path) -> None:
    operator = """
        m = ReduceMean<keepdims = 1>(a, pixels)
        c = Sub(a, m)
        q = Pow(c, two)
        v = ReduceMean<keepdims = 1>(q, pixels)
        e = Add(v, unit)
        s = Sqrt(e)
        b = Div(c, s)
    """
    inspection = quantized(operator, tmp_path / "m.onnx")
    assert {op.op_type for op in inspection.float_ops} >= {"Sub", "Pow", "Add", "Sqrt", "Div"}
    assert inspection.passed


@pytest.mark.parametrize(
    "operator",
    [
        "e = Elu(a)  b = Add(e, a)",
        "e = Elu(a)  g = Gelu(e)  b = Add(g, a)",
        "b = Tanh(a)",
        "s = Softplus(a)  t = Tanh(s)  b = Mul(a, t)",
        "b = Pow(a, two)",
    ],
)
def test_what_has_no_kernel_is_a_surprise_whatever_is_beside_it(
    operator: str, tmp_path: Path
) -> None:
    inspection = quantized(operator, tmp_path / "m.onnx")
    assert not inspection.passed


def test_a_dilated_average_whose_border_does_not_count_is_refused(tmp_path: Path) -> None:
    pool = "b = AveragePool<kernel_shape = [2, 2], dilations = [2, 2], pads = [1, 1, 1, 1]>(a)"
    with pytest.raises(UnsupportedGraphError, match=r"no dilations.*count_include_pad=1"):
        quantized(pool, tmp_path / "m.onnx")


def test_an_operator_that_fell_back_is_not_excused_by_a_gelu_in_front(tmp_path: Path) -> None:
    model = parse(
        """
        g (float[N, 4, 8, 8] x) => (float[N, 4, 1, 1] y, float[N, 4, 8, 8] a) {
            p = QuantizeLinear(x, scale, zero)
            u = DequantizeLinear(p, scale, zero)
            v = AveragePool<kernel_shape = [1, 1]>(u)
            q = QuantizeLinear(v, scale, zero)
            d = DequantizeLinear(q, scale, zero)
            b = Gelu(d)
            c = QuantizeLinear(b, scale, zero)
            e = DequantizeLinear(c, scale, zero)
            a = Add(e, d)
            f = QuantizeLinear(a, scale, low)
            h = DequantizeLinear(f, scale, low)
            r = GlobalAveragePool(h)
            i = QuantizeLinear(r, scale, low)
            y = DequantizeLinear(i, scale, low)
        }
        """,
        {"scale": np.float32(0.02), "zero": np.uint8(128), "low": np.int8(0)},
        opset=20,
    )
    onnx.save(model, tmp_path / "m.onnx")
    inspection = inspect_int8(tmp_path / "m.onnx")
    assert {op.op_type for op in inspection.float_ops if not op.accepted} >= {"Add"}
    assert {op.op_type for op in inspection.float_ops if op.accepted} >= {"Gelu"}
