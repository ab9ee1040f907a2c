import numpy as np
import pytest

from resnet_deploy.passes.fold_batchnorm import fold_batchnorm
from resnet_deploy.passes.result import PassResult, Refusal
from tests.support.graphs import noise, op_types, parse, run, to_ir

CONV_BN = """
g (float[N,4,6,6] x) => (float[N,8,6,6] y) {
  c = Conv<kernel_shape=[3,3], pads=[1,1,1,1], group=GROUP>(x, INPUTS)
  y = BatchNormalization<epsilon=0.001>(c, gamma, beta, mean, var)
}
"""


def weights(group: int, bias: bool) -> dict[str, np.ndarray]:
    found = {
        "conv.weight": noise(8, 4 // group, 3, 3),
        "gamma": noise(8, seed=1),
        "beta": noise(8, seed=2),
        "mean": noise(8, seed=3),
        "var": noise(8, seed=4) ** 2,
    }
    if bias:
        found["conv.bias"] = noise(8, seed=5)
    return found


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("bias", [False, True])
def test_batchnorm_goes_into_the_convolution(group: int, bias: bool) -> None:
    inputs = "conv.weight, conv.bias" if bias else "conv.weight"
    text = CONV_BN.replace("GROUP", str(group)).replace("INPUTS", inputs)
    model = parse(text, weights(group, bias))
    graph = to_ir(model)

    assert fold_batchnorm(graph) == PassResult(1)

    assert op_types(graph) == ["Conv"]
    x = noise(2, 4, 6, 6, seed=9)
    np.testing.assert_allclose(run(graph, x), run(model, x), rtol=1e-5, atol=1e-5)


def test_refuses_when_somebody_else_reads_the_convolution() -> None:
    text = """
    g (float[N,4,6,6] x) => (float[N,4,6,6] y) {
      c = Conv<kernel_shape=[1,1]>(x, w)
      b = BatchNormalization(c, gamma, beta, mean, var)
      y = Add(b, c)
    }
    """
    small = {name: noise(4) for name in ("gamma", "beta", "mean")}
    graph = to_ir(parse(text, {"w": noise(4, 4, 1, 1), "var": noise(4) ** 2, **small}))

    refusal = Refusal("b", "it is not the only reader of c")
    assert fold_batchnorm(graph) == PassResult(refusals=(refusal,))
    assert "BatchNormalization" in op_types(graph)


def test_refuses_a_batchnorm_without_convolution() -> None:
    text = "g (float[N,4,2,2] x) => (float[N,4,2,2] y) { y = BatchNormalization(x, a, b, c, d) }"
    values = {name: np.ones(4, np.float32) for name in "abcd"}
    refusal = Refusal("y", "it does not follow a convolution or linear layer")
    assert fold_batchnorm(to_ir(parse(text, values))) == PassResult(refusals=(refusal,))


@pytest.mark.parametrize(
    ("inputs", "operator", "reason"),
    [
        (
            "",
            "y, m, v = BatchNormalization<training_mode=1>",
            "it is in training mode",
        ),
        (
            ", float[4] gamma",
            "y = BatchNormalization",
            "its parameters are computed at run time",
        ),
    ],
)
def test_refuses_statistics_of_the_batch(inputs: str, operator: str, reason: str) -> None:
    text = f"""
    g (float[N,4,2,2] x{inputs}) => (float[N,4,2,2] y) {{
      c = Conv<kernel_shape=[1,1]>(x, w)
      {operator}(c, gamma, beta, mean, var)
    }}
    """
    values = {name: noise(4) ** 2 for name in ("gamma", "beta", "mean", "var")}
    values = {name: value for name, value in values.items() if name not in inputs}
    graph = to_ir(parse(text, {"w": noise(4, 4, 1, 1), **values}))
    assert fold_batchnorm(graph) == PassResult(refusals=(Refusal("y", reason),))
