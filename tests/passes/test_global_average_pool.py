import numpy as np
import pytest

from resnet_deploy.passes.global_average_pool import mean_to_global_average_pool
from resnet_deploy.passes.result import PassResult, Refusal
from tests.support.graphs import noise, op_types, parse, run, to_ir


@pytest.mark.parametrize(
    ("keepdims", "shape", "expected"),
    [
        (1, "float[N,4,1,1]", ["GlobalAveragePool"]),
        (0, "float[N,4]", ["GlobalAveragePool", "Flatten"]),
    ],
)
@pytest.mark.parametrize("axes", ["[2,3]", "[-1,-2]"])
def test_mean_over_the_picture_becomes_a_pool(
    keepdims: int, shape: str, expected: list[str], axes: str
) -> None:
    text = f"""
    g (float[N,4,5,3] x) => ({shape} y) {{
      y = ReduceMean<axes={axes}, keepdims={keepdims}>(x)
    }}
    """
    model = parse(text)
    graph = to_ir(model)

    assert mean_to_global_average_pool(graph) == PassResult(1)

    assert op_types(graph) == expected
    x = noise(3, 4, 5, 3)
    np.testing.assert_allclose(run(graph, x), run(model, x), atol=1e-6)


def test_axes_as_an_input_since_opset_18() -> None:
    text = "g (float[N,4,5,3] x) => (float[N,4,1,1] y) { y = ReduceMean(x, axes) }"
    graph = to_ir(parse(text, {"axes": np.array([2, 3], np.int64)}, opset=18))
    assert mean_to_global_average_pool(graph) == PassResult(1)


def test_refuses_other_axes() -> None:
    text = "g (float[N,4,5,3] x) => (float[N,1,5,3] y) { y = ReduceMean<axes=[1]>(x) }"
    refusal = Refusal("y", "it is not over height and width alone")
    assert mean_to_global_average_pool(to_ir(parse(text))) == PassResult(refusals=(refusal,))


def test_refuses_other_than_four_dimensions() -> None:
    text = "g (float[N,4,5] x) => (float[N,4,1] y) { y = ReduceMean<axes=[2]>(x) }"
    refusal = Refusal("y", "its input is not known to have four dimensions")
    assert mean_to_global_average_pool(to_ir(parse(text))) == PassResult(refusals=(refusal,))
