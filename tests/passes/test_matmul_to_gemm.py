import numpy as np
import pytest

from resnet_deploy.passes.matmul_to_gemm import matmul_to_gemm
from resnet_deploy.passes.result import PassResult
from tests.passes.graphs import noise, op_types, parse, run, to_ir

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


def test_refuses_more_than_two_dimensions() -> None:
    text = "g (float[N,5,6] x) => (float[N,5,4] y) { y = MatMul(x, w) }"
    assert matmul_to_gemm(to_ir(parse(text, {"w": noise(6, 4)}))) == 0
