"""A BatchNormalization without a convolution in front of it."""

from __future__ import annotations

import numpy as np
import pytest

from resnet_deploy.passes import run_passes
from resnet_deploy.passes.fold_batchnorm import fold_batchnorm
from resnet_deploy.passes.lone_batchnorm import lone_batchnorm
from resnet_deploy.passes.result import PassResult
from tests.support.graphs import noise, op_types, parse, run, to_ir

BN = "BatchNormalization (x, bn.weight, bn.bias, bn.mean, bn.var)"


def statistics(channels: int) -> dict[str, np.ndarray]:
    return {
        "bn.weight": noise(channels, seed=1),
        "bn.bias": noise(channels, seed=2),
        "bn.mean": noise(channels, seed=3),
        "bn.var": noise(channels, seed=4) ** 2,
    }


@pytest.mark.parametrize(
    ("body", "weights", "wanted"),
    [
        (
            f"n = {BN} y = Relu (n)",
            {},
            ["Conv", "Relu"],
        ),
        (
            f"n = {BN} y = Conv <strides = [2, 2]> (n, c.weight, c.bias)",
            {"c.weight": noise(6, 4, 3, 3), "c.bias": noise(6)},
            ["Conv"],
        ),
        (
            f"n = {BN} y = Conv <group = 2> (n, c.weight)",
            {"c.weight": noise(6, 2, 1, 1)},
            ["Conv"],
        ),
        (
            f"n = {BN} y = Conv <pads = [1, 1, 1, 1]> (n, c.weight)",
            {"c.weight": noise(6, 4, 3, 3)},
            ["Conv", "Conv"],
        ),
        (
            f"n = {BN} p = GlobalAveragePool (n) f = Flatten (p) y = Gemm (f, c.weight, c.bias)",
            {"c.weight": noise(4, 5), "c.bias": noise(5)},
            ["GlobalAveragePool", "Flatten", "Gemm"],
        ),
        (
            f"n = {BN} f = Flatten (n) y = Gemm <transB = 1> (f, c.weight)",
            {"c.weight": noise(3, 4 * 5 * 5)},
            ["Flatten", "Gemm"],
        ),
        (
            f"n = {BN} r = Relu (n) y = Add (r, n)",
            {},
            ["Conv", "Relu", "Add"],
        ),
    ],
    ids=["alone", "into a Conv", "into groups", "not over a border", "into a Gemm", "flat", "two"],
)
def test_it_computes_the_same(body: str, weights: dict[str, np.ndarray], wanted: list[str]) -> None:
    out = "N, M" if "Gemm" in body else "N, M, H, W"
    model = parse(
        f"net (float[N, 4, 5, 5] x) => (float[{out}] y) {{ {body} }}", {**statistics(4), **weights}
    )
    graph = to_ir(model)

    assert lone_batchnorm(graph) == PassResult(1)

    assert op_types(graph) == wanted
    for batch in (1, 3):
        x = noise(batch, 4, 5, 5, seed=batch)
        for optimise in (False, True):
            found = run(graph, x, optimise=optimise)
            np.testing.assert_allclose(found, run(model, x), rtol=1e-4, atol=2e-5)


def test_without_an_image_it_is_a_mul_and_an_add() -> None:
    model = parse(f"net (float[N, 4] x) => (float[N, 4] y) {{ y = {BN} }}", statistics(4))
    graph = to_ir(model)

    lone_batchnorm(graph)

    assert op_types(graph) == ["Mul", "Add"]
    np.testing.assert_allclose(run(graph, noise(2, 4)), run(model, noise(2, 4)), rtol=1e-5)


def test_a_linear_layer_in_front_takes_it() -> None:
    model = parse(
        "net (float[N, 3] x0) => (float[N, 4] y) { x = Gemm (x0, c.weight) y = " + BN + " }",
        {**statistics(4), "c.weight": noise(3, 4)},
    )
    graph = to_ir(model)

    assert fold_batchnorm(graph) == PassResult(1)

    assert op_types(graph) == ["Gemm"]
    found = run(graph, noise(2, 3))
    np.testing.assert_allclose(found, run(model, noise(2, 3)), rtol=1e-4, atol=1e-5)


def test_a_weight_that_others_read_stays() -> None:
    model = parse(
        f"""net (float[N, 4, 5, 5] x) => (float[N, 4, 5, 5] y) {{
            n = {BN}
            a = Conv (n, c.weight)
            b = Conv (x, c.weight)
            y = Add (a, b)
        }}""",
        {**statistics(4), "c.weight": noise(4, 4, 1, 1)},
    )
    graph = to_ir(model)

    lone_batchnorm(graph)

    assert op_types(graph) == ["Conv", "Conv", "Conv", "Add"]
    x = noise(1, 4, 5, 5)
    np.testing.assert_allclose(run(graph, x), run(model, x), rtol=1e-4, atol=1e-5)


def test_computed_parameters_are_refused() -> None:
    given = statistics(4)
    del given["bn.weight"]
    body = BN.replace("bn.weight", "scale")
    model = parse(
        f"net (float[N, 4, 5, 5] x, float[4] scale) => (float[N, 4, 5, 5] y) {{ y = {body} }}",
        given,
    )

    results = run_passes(to_ir(model))

    (refusal,) = results["lone_batchnorm"].refusals
    assert refusal.reason == "its parameters are computed at run time"
