import numpy as np

from resnet_deploy.passes.private_bias import private_bias
from resnet_deploy.passes.result import PassResult, Refusal
from tests.support.graphs import noise, parse, run, to_ir

SHARED = """
g (float[N,4,3,3] x) => (float[N,4,3,3] y) {
  a = Conv<kernel_shape=[1,1]>(x, first.weight, shared)
  b = Conv<kernel_shape=[1,1]>(a, second.weight, shared)
  y = Conv<kernel_shape=[1,1]>(b, third.weight)
}
"""


def test_every_convolution_gets_a_bias_of_its_own() -> None:
    weights = {f"{name}.weight": noise(4, 4, 1, 1) for name in ("first", "second", "third")}
    model = parse(SHARED, {**weights, "shared": noise(4)})
    graph = to_ir(model)

    assert private_bias(graph) == PassResult(2)

    biases = [node.inputs[2] for node in graph.graph]
    assert len({bias.name for bias in biases if bias is not None}) == 3
    x = noise(2, 4, 3, 3)
    np.testing.assert_array_equal(run(graph, x), run(model, x))
    assert private_bias(graph) == PassResult()


def test_refuses_what_is_computed_at_run_time() -> None:
    text = """
    g (float[N,4,3,3] x, float[4,4,1,1] w, float[4] b) => (float[N,4,3,3] y) {
      first = Conv<kernel_shape=[1,1]>(x, w)
      second = Conv<kernel_shape=[1,1]>(first, v, b)
      y = Conv<kernel_shape=[1,1]>(second, v, b)
    }
    """
    result = private_bias(to_ir(parse(text, {"v": noise(4, 4, 1, 1)})))
    assert result == PassResult(
        refusals=(
            Refusal("first", "its weights are computed at run time"),
            Refusal("second", "its shared bias is computed at run time"),
            Refusal("y", "its shared bias is computed at run time"),
        )
    )
