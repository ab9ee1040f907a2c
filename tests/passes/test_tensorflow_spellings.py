"""BatchNorm as Mul and Add, ReLU6 as Min and Max, padding by the size of the input."""

from __future__ import annotations

import numpy as np
import pytest

from resnet_deploy.passes.affine_into_layer import affine_into_layer
from resnet_deploy.passes.clean import clean
from resnet_deploy.passes.explicit_pads import explicit_pads
from resnet_deploy.passes.min_max_to_clip import min_max_to_clip
from tests.support.graphs import noise, op_types, parse, run, to_ir

SCALAR = {
    "a": np.float32(0),
    "b": np.float32(6),
    "c": np.float32(-2),
    "one": np.ones(1, np.float32),
}


@pytest.mark.parametrize(
    "text",
    [
        "m = Mul(h, k)\n y = Add(m, t)",
        "m = Div(h, k)\n y = Sub(m, t)",
        "y = Mul(h, s)",
    ],
)
def test_factors_and_summands_go_into_the_convolution(text: str) -> None:
    constants = {"k": noise(4, 1, 1), "t": noise(1, 4, 1, 1, seed=1), "s": np.float32(3)}
    used = {
        name: value for name, value in constants.items() if f"{name})" in text or f"({name}" in text
    }
    whole = f"g (float[N,3,8,8] x) => (float[N,4,6,6] y) {{ h = Conv(x, w)\n {text} }}"
    model = parse(whole, {"w": noise(4, 3, 3, 3), **used})
    graph = to_ir(model)
    affine_into_layer(graph)
    assert op_types(graph) == ["Conv"]
    x = noise(2, 3, 8, 8)
    np.testing.assert_allclose(run(graph, x), run(model, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("y = Mul(h, k)", "its constant is not one number a channel"),
        ("y = Div(k, h)", "it divides or subtracts what a layer gives"),
    ],
)
def test_other_arithmetic_stays(text: str, reason: str) -> None:
    whole = f"g (float[N,3,8,8] x) => (float[N,4,6,6] y) {{ h = Conv(x, w)\n {text} }}"
    graph = to_ir(parse(whole, {"w": noise(4, 3, 3, 3), "k": noise(1, 6)}))
    found = affine_into_layer(graph)
    assert (found.count, found.refusals[0].reason) == (0, reason)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y = Max(x, a)", ["Relu"]),
        ("h = Max(a, x)\n y = Min(h, b)", ["Clip"]),
        ("h = Relu(x)\n y = Min(b, h)", ["Clip"]),
        ("h = Min(x, b)\n y = Max(h, c)", ["Clip"]),
        ("h = Min(x, c)\n y = Max(h, a)", ["Clip", "Max"]),
        ("h = Relu(x)\n y = Min(h, c)", ["Relu", "Clip"]),
        ("y = Min(x, one)", ["Clip"]),
        ("y = Min(x, x)", ["Min"]),
    ],
)
def test_bounds_become_a_clip(text: str, expected: list[str]) -> None:
    whole = f"g (float[N,5] x) => (float[N,5] y) {{ {text} }}"
    used = {n: v for n, v in SCALAR.items() if f"{n})" in text or f"({n}," in text}
    model = parse(whole, used)
    graph = to_ir(model)
    min_max_to_clip(graph)
    clean(graph)
    assert op_types(graph) == expected
    x = 8 * noise(9, 5)
    np.testing.assert_array_equal(run(graph, x), run(model, x))


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize(("size", "kernel", "stride"), [(8, 3, 2), (9, 3, 2), (8, 2, 1), (7, 1, 2)])
def test_pads_are_stated(mode: str, size: int, kernel: int, stride: int) -> None:
    text = f"""
g (float[N,3,{size},8] x) => (float[N,4,h,w] y) {{
  y = Conv<auto_pad = "{mode}", strides = [{stride}, {stride}]>(x, w)
}}
"""
    model = parse(text, {"w": noise(4, 3, kernel, kernel)})
    graph = to_ir(model)
    assert explicit_pads(graph).count == 1
    assert "auto_pad" not in graph.graph[0].attributes
    x = noise(2, 3, size, 8)
    np.testing.assert_allclose(run(graph, x), run(model, x), atol=1e-5)


def test_a_stride_over_a_free_size_stays() -> None:
    text = """
g (float[N,3,h,w] x) => (float[N,4,p,q] y) {
  y = Conv<auto_pad = "SAME_UPPER", strides = [2, 2]>(x, w)
}
"""
    graph = to_ir(parse(text, {"w": noise(4, 3, 3, 3)}))
    assert explicit_pads(graph).count == 0
