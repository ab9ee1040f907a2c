import numpy as np
import pytest

from resnet_deploy.passes.flatten import reshape_to_flatten
from resnet_deploy.passes.result import PassResult
from tests.passes.graphs import noise, op_types, parse, run, to_ir

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


@pytest.mark.parametrize("target", [[-1, 12], [0, 4, 6], [24, -1]])
def test_refuses_what_is_no_flatten(target: list[int]) -> None:
    rank = "float[a,b]" if len(target) == 2 else "float[a,b,c]"
    text = f"g (float[N,4,2,3] x) => ({rank} y) {{ y = Reshape(x, shape) }}"
    graph = to_ir(parse(text, {"shape": np.array(target, np.int64)}))
    assert reshape_to_flatten(graph) == PassResult()
