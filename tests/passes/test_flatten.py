import numpy as np
import pytest

from resnet_deploy.passes.flatten import reshape_to_flatten
from resnet_deploy.passes.result import PassResult, Refusal
from tests.support.graphs import noise, op_types, parse, run, to_ir

RESHAPE = "g (float[N,4,2,3] x) => (float[N,24] y) { y = Reshape(x, shape) }"


@pytest.mark.parametrize("target", [[0, -1], [-1, 24], [0, 24]])
def test_merging_all_but_the_batch_is_a_flatten(target: list[int]) -> None:
    model = parse(RESHAPE, {"shape": np.array(target, np.int64)})
    graph = to_ir(model)

    assert reshape_to_flatten(graph) == PassResult(1)

    assert op_types(graph) == ["Flatten"]
    x = noise(5, 4, 2, 3)
    np.testing.assert_array_equal(run(graph, x), x.reshape(5, 24))


def test_a_constant_batch_size_becomes_dynamic() -> None:
    text = "g (float[2,4,1,1] x) => (float[2,4] y) { y = Reshape(x, shape) }"
    graph = to_ir(parse(text, {"shape": np.array([2, 4], np.int64)}))
    assert reshape_to_flatten(graph) == PassResult(1)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ([-1, 12], "it does not keep the first dimension and merge all others"),
        ([24, -1], "it does not keep the first dimension and merge all others"),
        ([0, 4, 6], "its target has 3 dimensions, not two"),
    ],
)
def test_refuses_what_is_no_flatten(target: list[int], reason: str) -> None:
    rank = "float[a,b]" if len(target) == 2 else "float[a,b,c]"
    text = f"g (float[N,4,2,3] x) => ({rank} y) {{ y = Reshape(x, shape) }}"
    graph = to_ir(parse(text, {"shape": np.array(target, np.int64)}))
    assert reshape_to_flatten(graph) == PassResult(refusals=(Refusal("y", reason),))


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ("float[N,4,2,3] x, int64[2] shape", "its target shape is computed at run time"),
        ("float[N,4,h,w] x", "a dimension behind the first is dynamic"),
        ("float[N] x", "the shape of its input is not known, or has less than two dimensions"),
    ],
)
def test_refuses_what_is_not_known(inputs: str, reason: str) -> None:
    given = {} if "shape" in inputs else {"shape": np.array([0, -1], np.int64)}
    graph = to_ir(parse(f"g ({inputs}) => (float[a,b] y) {{ y = Reshape(x, shape) }}", given))
    assert reshape_to_flatten(graph) == PassResult(refusals=(Refusal("y", reason),))
