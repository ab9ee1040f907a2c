"""Operators without an int8 kernel, made of others that have one: all compute the same."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.passes import Pass
from resnet_deploy.passes.average_pool import average_pool
from resnet_deploy.passes.hard_gates import hard_gates
from resnet_deploy.passes.needless_expand import needless_expand
from resnet_deploy.passes.one_pixel import one_pixel
from resnet_deploy.passes.pool_channels_last import pool_channels_last
from resnet_deploy.passes.prelu_to_sum import lone_relu, prelu_to_sum
from resnet_deploy.passes.reflect_pad import reflect_pad
from tests.support.graphs import noise, op_types, parse, run, to_ir

IMAGE = "net (float[N, 4, 6, 7] x) => (float[{out}] y) {{ {body} }}"
SAME = "N, 4, 6, 7"

SE = """p = GlobalAveragePool (x) f = Flatten (p)
    a = Gemm <transB = 1> (f, a.weight, a.bias) r = Relu (a) b = Gemm (r, b.weight)
    s = Sigmoid (b) g = Reshape (s, shape) y = Mul (x, g)"""
ECA = """p = GlobalAveragePool (x) f = Flatten (p) l = Reshape (f, line)
    c = Conv <pads = [1, 1]> (l, c.weight) g = Reshape (c, shape) s = Sigmoid (g) y = Mul (x, s)"""
PAPER = """p = GlobalAveragePool (x) q = Squeeze (p, last) t = Transpose <perm = [0, 2, 1]> (q)
    c = Conv <pads = [1, 1]> (t, c.weight) u = Transpose <perm = [0, 2, 1]> (c)
    g = Unsqueeze (u, last) s = Sigmoid (g) y = Mul (x, s)"""
SHAPES = {
    "shape": np.array([-1, 4, 1, 1]),
    "line": np.array([-1, 1, 4]),
    "last": np.array([-1]),
}
GEMMS = {"a.weight": noise(2, 4), "a.bias": noise(2), "b.weight": noise(2, 4)}
LINE = {"c.weight": noise(1, 1, 3)}
CONV = {"c.weight": noise(4, 4, 1, 1), "c.bias": noise(4)}


def check(graph_pass: Pass, model: object, wanted: list[str]) -> ir.Model:
    """The pass makes one rewrite that gives ``wanted`` and the same values."""
    graph = to_ir(model)  # type: ignore[arg-type]
    assert graph_pass(graph).count == 1
    assert op_types(graph) == wanted
    for batch in (1, 3):
        x = noise(batch, 4, 6, 7, seed=batch)
        for optimise in (False, True):
            found, given_ = run(graph, x, optimise=optimise), run(model, x)  # type: ignore[arg-type]
            np.testing.assert_allclose(found, given_, rtol=1e-5, atol=2e-6)
    return graph


@pytest.mark.parametrize(
    ("body", "weights", "wanted"),
    [
        (SE, GEMMS, ["GlobalAveragePool", "Conv", "Relu", "Conv", "Sigmoid", "Mul"]),
        (ECA, LINE, ["GlobalAveragePool", "Transpose", "Conv", "Transpose", "Sigmoid", "Mul"]),
        (PAPER, LINE, ["GlobalAveragePool", "Transpose", "Conv", "Transpose", "Sigmoid", "Mul"]),
    ],
    ids=["linear layers", "ECA in timm", "ECA in its paper"],
)
def test_a_gate_is_computed_on_one_pixel(
    body: str, weights: dict[str, np.ndarray], wanted: list[str]
) -> None:
    used = {name: array for name, array in SHAPES.items() if name in body}
    check(one_pixel, parse(IMAGE.format(out=SAME, body=body), {**weights, **used}), wanted)


def test_a_gate_that_is_mixed_with_something_else_is_left() -> None:
    body = """p = GlobalAveragePool (x) f = Flatten (p) e = Softmax (f)
        g = Reshape (e, shape) y = Mul (x, g)"""
    graph = to_ir(parse(IMAGE.format(out=SAME, body=body), {"shape": SHAPES["shape"]}))

    result = one_pixel(graph)

    assert result.count == 0
    assert [refusal.reason for refusal in result.refusals] == ["Softmax is in between"]


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("c = Conv (x, c.weight, c.bias) y = HardSigmoid (c)", ["Conv", "Clip"]),
        ("y = HardSigmoid <alpha = 0.3, beta = 0.4> (x)", ["Conv", "Clip"]),
        ("c = Conv (x, c.weight) y = HardSwish (c)", ["Conv", "Conv", "Clip", "Mul"]),
        (
            "c = Conv (x, c.weight) h = HardSigmoid (c) y = Mul (c, h)",
            ["Conv", "Conv", "Clip", "Mul"],
        ),
    ],
    ids=["folded", "alone", "swish", "read by others"],
)
def test_hard_gates(body: str, wanted: list[str]) -> None:
    weights = {name: array for name, array in CONV.items() if name in body}
    check(hard_gates, parse(IMAGE.format(out=SAME, body=body), weights), wanted)


@given(st.lists(st.floats(-1, 3, width=32), min_size=4, max_size=4).filter(lambda s: len({*s}) > 1))
def test_prelu_is_a_sum(slopes: list[float]) -> None:
    weights = {"slope": np.array(slopes, np.float32).reshape(4, 1, 1)}
    model = parse(IMAGE.format(out=SAME, body="y = PRelu (x, slope)"), weights)
    graph = to_ir(model)

    assert prelu_to_sum(graph).count == 1

    assert "PRelu" not in op_types(graph)
    x = noise(2, 4, 6, 7)
    np.testing.assert_allclose(run(graph, x), run(model, x), rtol=1e-4, atol=1e-5)


def test_prelu_of_one_slope_is_a_leaky_relu() -> None:
    weights = {"slope": np.full((4, 1, 1), 0.25, np.float32)}
    model = parse(IMAGE.format(out=SAME, body="y = PRelu (x, slope)"), weights)
    check(prelu_to_sum, model, ["LeakyRelu"])


def test_slopes_of_pixels_are_refused() -> None:
    weights = {"slope": noise(4, 6, 7)}
    graph = to_ir(parse(IMAGE.format(out=SAME, body="y = PRelu (x, slope)"), weights))
    assert prelu_to_sum(graph).refusals[0].reason == "its slopes differ within a channel"


def test_a_relu_that_no_layer_absorbs() -> None:
    body = "p = MaxPool <kernel_shape = [1, 1]> (x) c = Conv (x, c.weight) r = Relu (c)"
    model = parse(
        IMAGE.format(out=SAME, body=f"{body} q = Relu (p) y = Add (q, r)"),
        {"c.weight": CONV["c.weight"]},
    )
    check(lone_relu, model, ["MaxPool", "Conv", "Relu", "LeakyRelu", "Add"])


@pytest.mark.parametrize("mode", ["reflect", "edge"])
@pytest.mark.parametrize(
    ("pads", "kinds"),
    [((1, 1, 1, 1), [2, 1, 2, 1]), ((0, 2, 0, 1), [3, 1]), ((3, 0, 0, 0), [3, 1])],
)
def test_borders_of_the_image(mode: str, pads: tuple[int, ...], kinds: list[int]) -> None:
    top, left, bottom, right = pads
    weights = {"pads": np.array([0, 0, top, left, 0, 0, bottom, right])}
    height, width = 6 + top + bottom, 7 + left + right
    text = IMAGE.format(
        out=f"N, 4, {height}, {width}", body=f'p = Pad <mode = "{mode}"> (x, pads) y = Relu (p)'
    )
    if mode == "edge":  # the edge is one row, however often it is repeated
        kinds = [sum(n > 0 for n in (pads[i], pads[i + 2])) for i in (0, 1)]
        kinds = [n for count in kinds if count for n in (count, 1)]
    steps = ["Slice", "Concat"] * (len(kinds) // 2)
    wanted = [name for name, n in zip(steps, kinds, strict=True) for _ in range(n)]
    check(reflect_pad, parse(text, weights), [*wanted, "Relu"])


@pytest.mark.parametrize(
    ("attributes", "out", "wanted"),
    [
        ("kernel_shape = [2, 2], strides = [2, 2]", "N, 4, 3, 3", "Conv"),
        ("kernel_shape = [2, 1], strides = [2, 1], ceil_mode = 1", "N, 4, 3, 7", "Conv"),
        (
            "kernel_shape = [3, 3], pads = [1, 1, 1, 1], count_include_pad = 1",
            "N, 4, 6, 7",
            "Conv",
        ),
        ("kernel_shape = [6, 7]", "N, 4, 1, 1", "GlobalAveragePool"),
    ],
    ids=["2x2", "nothing rounded", "border counts", "whole image"],
)
def test_average_pools(attributes: str, out: str, wanted: str) -> None:
    body = f"y = AveragePool <{attributes}> (x)"
    check(average_pool, parse(IMAGE.format(out=out, body=body)), [wanted])


@pytest.mark.parametrize(
    ("attributes", "out", "reason"),
    [
        ("kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1", "N, 4, 3, 4", "rounds"),
        ("kernel_shape = [3, 3], pads = [1, 1, 1, 1]", "N, 4, 6, 7", "border does not count"),
        ("kernel_shape = [6, 6]", "N, 4, 1, 2", "large"),
    ],
)
def test_average_pools_that_stay(attributes: str, out: str, reason: str) -> None:
    body = f"y = AveragePool <{attributes}> (x)"
    result = average_pool(to_ir(parse(IMAGE.format(out=out, body=body))))
    assert reason in result.refusals[0].reason


def test_an_expand_in_front_of_a_product_goes() -> None:
    body = "p = GlobalAveragePool (x) s = Shape (x) e = Expand (p, s) y = Mul (x, e)"
    graph = to_ir(parse(IMAGE.format(out=SAME, body=body)))
    assert needless_expand(graph).count == 0, "the shape is not inferred here"

    graph = to_ir(parse(IMAGE.format(out=SAME, body=body)))
    expanded = next(node for node in graph.graph if node.op_type == "Expand").outputs[0]
    expanded.shape = graph.graph.inputs[0].shape
    assert needless_expand(graph).count == 1
    assert "Expand" not in op_types(graph)
    x = noise(2, 4, 6, 7)
    np.testing.assert_allclose(run(graph, x), x * x.mean((2, 3), keepdims=True), rtol=1e-5)


def test_an_expand_that_makes_the_result_stays() -> None:
    body = "p = GlobalAveragePool (x) e = Expand (p, size) y = Mul (e, e)"
    weights = {"size": np.array([1, 1, 2, 2])}
    graph = to_ir(parse(IMAGE.format(out="N, 4, 2, 2", body=body), weights))
    assert needless_expand(graph).count == 0


def test_the_last_pool_is_flattened_with_channels_last_behind_gates() -> None:
    body = "s = Sigmoid (x) p = GlobalAveragePool (s) y = Flatten (p)"
    model = parse(IMAGE.format(out="N, M", body=body))
    check(pool_channels_last, model, ["Sigmoid", "GlobalAveragePool", "Transpose", "Flatten"])
    plain = to_ir(parse(IMAGE.format(out="N, M", body=body.replace("Sigmoid", "Relu"))))
    assert pool_channels_last(plain).count == 0


def test_a_chain_that_moves_the_batch_is_left() -> None:
    text = """net (float[4, 4, 6, 7] x) => (float[4, 4, 6, 7] y) {
        p = GlobalAveragePool (x) f = Flatten (p) t = Transpose <perm = [1, 0]> (f)
        g = Reshape (t, shape) y = Mul (x, g) }"""
    graph = to_ir(parse(text, {"shape": SHAPES["shape"]}))
    assert one_pixel(graph).count == 0
