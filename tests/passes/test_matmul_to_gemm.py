import numpy as np
import pytest

from resnet_deploy.passes.matmul_to_gemm import matmul_to_gemm
from resnet_deploy.passes.result import PassResult, Refusal
from tests.support.graphs import noise, op_types, parse, run, to_ir

LINEAR = """
g (float[N,6] x) => (float[N,4] y) {
  m = MatMul(x, w)
  y = Add(BIAS)
}
"""


@pytest.mark.parametrize("order", ["m, b", "b, m"])
def test_a_linear_layer_in_two_operators_becomes_one(order: str) -> None:
    model = parse(LINEAR.replace("BIAS", order), {"w": noise(6, 4), "b": noise(4)})
    graph = to_ir(model)

    assert matmul_to_gemm(graph) == PassResult(1)

    assert op_types(graph) == ["Gemm"]
    x = noise(3, 6)
    np.testing.assert_allclose(run(graph, x), run(model, x), atol=1e-5)


def test_without_a_bias() -> None:
    model = parse("g (float[N,6] x) => (float[N,4] y) { y = MatMul(x, w) }", {"w": noise(6, 4)})
    graph = to_ir(model)
    assert matmul_to_gemm(graph) == PassResult(1)
    x = noise(3, 6)
    np.testing.assert_allclose(run(graph, x), run(model, x), atol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "output", "reason"),
    [
        ("float[N,5,6] x", "float[N,5,4] y", "its factors are not known to be matrices"),
        ("float[N,6] x, float[6,4] w", "float[N,4] y", "its second factor is computed at run time"),
        ("float[N,6] z", "float[3,4] y", "both of its factors are constant"),
    ],
)
def test_refuses_what_is_no_linear_layer(inputs: str, output: str, reason: str) -> None:
    given = {
        name: value
        for name, value in {"w": noise(6, 4), "x": noise(3, 6)}.items()
        if f" {name}" not in inputs
    }
    graph = to_ir(parse(f"g ({inputs}) => ({output}) {{ y = MatMul(x, w) }}", given))
    assert matmul_to_gemm(graph) == PassResult(refusals=(Refusal("y", reason),))
