from resnet_deploy.passes import PassResult, Refusal, counts_text, run_passes
from resnet_deploy.passes.clean import clean
from resnet_deploy.passes.flatten import reshape_to_flatten
from tests.support.graphs import noise, op_types, parse, to_ir

NET = """
g (float[N,3,4,4] x) => (float[N,5] y) {
  i = Identity(x)
  b = BatchNormalization(i, one.gamma, one.beta, one.mean, one.var)
  c = Conv<kernel_shape=[1,1]>(b, conv.weight)
  p = GlobalAveragePool(c)
  y = Flatten(p)
}
"""


def test_results_go_by_the_name_of_the_pass() -> None:
    statistics = {f"one.{name}": noise(3) ** 2 for name in ("gamma", "beta", "mean", "var")}
    graph = to_ir(parse(NET, {"conv.weight": noise(5, 3, 1, 1), **statistics}))

    results = run_passes(graph)

    assert "Identity" not in op_types(graph)
    assert results["clean"] == PassResult(1)
    assert results["lone_batchnorm"].count == 1
    refusal = Refusal("b", "it does not follow a convolution or linear layer")
    assert results["fold_batchnorm"] == PassResult(refusals=(refusal,))
    assert counts_text(results) == "clean 1, lone_batchnorm 1, name_by_module 3"


def test_a_pass_that_runs_twice_has_one_result() -> None:
    text = "g (float[N,3] x, int64[2] s) => (float[a,b] y) { i = Identity(x) y = Reshape(i, s) }"
    graph = to_ir(parse(text))

    results = run_passes(graph, (reshape_to_flatten, clean, reshape_to_flatten))

    assert list(results) == ["reshape_to_flatten", "clean"]
    refusal = Refusal("y", "its target shape is computed at run time")
    assert results["reshape_to_flatten"] == PassResult(refusals=(refusal, refusal))
