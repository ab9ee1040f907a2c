"""Graphs that compute with channels last between their convolutions."""

from __future__ import annotations

import numpy as np
import pytest

from resnet_deploy.passes import run_passes
from resnet_deploy.passes.channels_first import channels_first
from resnet_deploy.passes.clean import clean
from tests.support.graphs import noise, op_types, parse, run, to_ir

HEAD = "g (float[N,8,6,3] x) => (OUTPUT y) {\n"
FIRST = """
  a = Transpose<perm = [0, 3, 1, 2]>(x)
  b = Conv<pads = [1, 1, 1, 1]>(a, w)
  c = Transpose<perm = [0, 2, 3, 1]>(b)
"""
SECOND = """
  e = Transpose<perm = [0, 3, 1, 2]>(d)
  f = Conv(e, v)
  y = Transpose<perm = [0, 2, 3, 1]>(f)
}
"""
CONSTANTS = {
    "w": noise(4, 3, 3, 3),
    "v": noise(4, 4, 1, 1),
    "k": noise(4),
    "image": noise(1, 6, 4),
    "zero": np.float32(0),
    "six": np.float32(6),
    "slope": np.full((1, 1, 4), 0.1, np.float32),
    "hw": np.array([1, 2]),
    "pads": np.array([0, 1, 0, 0, 0, 0, 2, 0]),
    "starts": np.array([1, 0]),
    "ends": np.array([7, 4]),
    "axes": np.array([1, 3]),
    "row": np.array([-1, 1, 1, 4]),
    "m": noise(4, 4),
}


@pytest.mark.parametrize(
    ("between", "size"),
    [
        ("d = Mul(c, k)", "8,6"),
        ("d = Add(image, c)", "8,6"),
        ("d = Clip(c, zero, six)", "8,6"),
        ("d = PRelu(c, slope)", "8,6"),
        ("r = Relu(c)\n  d = Add(r, c)", "8,6"),
        ("d = Pad(c, pads)", "9,8"),
        ("d = Slice(c, starts, ends, axes)", "6,6"),
        ("d = Softmax<axis = -1>(c)", "8,6"),
        ("s = Sub(c, k)\n  d = Sum(s, c, s)", "8,6"),
        ("s = ReduceMean<axes = [1, 2]>(c)\n  g = Sigmoid(s)\n  d = Mul(c, g)", "8,6"),
        (
            "s = ReduceMean<axes = [1, 2], keepdims = 0>(c)\n  t = MatMul(s, m)\n"
            "  u = Reshape(t, row)\n  g = Sigmoid(u)\n  d = Mul(c, g)",
            "8,6",
        ),
    ],
)
def test_one_layout_is_left_between_the_ends(between: str, size: str) -> None:
    text = HEAD.replace("OUTPUT", f"float[N,{size},4]") + FIRST + f"  {between}\n" + SECOND
    names = {name: array for name, array in CONSTANTS.items() if name in text.replace("(", " (")}
    model = parse(text, names)
    graph = to_ir(model)
    assert channels_first(graph).count > 0
    clean(graph)
    assert op_types(graph).count("Transpose") == 2, "at the input and at the output"
    x = noise(2, 8, 6, 3)
    np.testing.assert_allclose(run(graph, x), run(model, x), atol=1e-5)


@pytest.mark.parametrize(
    "last",
    [
        "y = ReduceMean<axes = [1, 2], keepdims = 0>(c)",
        "s = ReduceMean<axes = [1, 2]>(c)\n y = Squeeze(s, hw)",
    ],
)
def test_a_mean_over_the_image_ends_the_change(last: str) -> None:
    text = HEAD.replace("OUTPUT", "float[N,4]") + FIRST + f"  {last}\n}}"
    model = parse(text, {"w": CONSTANTS["w"], **({"hw": CONSTANTS["hw"]} if "hw" in last else {})})
    graph = to_ir(model)
    x = noise(2, 8, 6, 3)
    right = run(model, x)  # before names change, which the two share
    run_passes(graph)
    assert op_types(graph)[:3] == ["Transpose", "Conv", "GlobalAveragePool"]
    assert "Transpose" not in op_types(graph)[1:]
    np.testing.assert_allclose(run(graph, x), right, atol=1e-5)


@pytest.mark.parametrize(
    ("last", "output"),
    [
        ("y = Flatten(c)", "float[N,192]"),
        ("y = ReduceMean<axes = [3], keepdims = 0>(c)", "float[N,8,6]"),
        ("y = MatMul(c, m)", "float[N,8,6,4]"),
    ],
)
def test_what_mixes_the_axes_reads_what_it_read(last: str, output: str) -> None:
    text = HEAD.replace("OUTPUT", output) + FIRST + f"  {last}\n}}"
    model = parse(text, {"w": CONSTANTS["w"], **({"m": CONSTANTS["m"]} if "m)" in last else {})})
    graph = to_ir(model)
    assert channels_first(graph).count == 0
    x = noise(2, 8, 6, 3)
    np.testing.assert_array_equal(run(graph, x), run(model, x))


def test_a_pad_in_front_of_the_first_change_goes_into_the_window() -> None:
    text = """
g (float[N,8,6,3] x) => (float[N,4,4,3] y) {
  p = Pad(x, pads)
  a = Transpose<perm = [0, 3, 1, 2]>(p)
  y = Conv<auto_pad = "VALID", strides = [2, 2]>(a, w)
}
"""
    pads = np.array([0, 1, 1, 0, 0, 1, 1, 0])
    model = parse(text, {"pads": pads, "w": CONSTANTS["w"]})
    graph = to_ir(model)
    x = noise(2, 8, 6, 3)
    right = run(model, x)  # before names change, which the two share
    run_passes(graph)
    assert op_types(graph) == ["Transpose", "Conv"]
    np.testing.assert_allclose(run(graph, x), right, atol=1e-5)
