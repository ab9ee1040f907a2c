import pytest

from resnet_deploy.passes.identity_pool import remove_identity_pool
from resnet_deploy.passes.result import PassResult, Refusal
from tests.support.graphs import op_types, parse, to_ir

POOL = """
g (float[N,4,7,7] x) => (float[N,4,h,w] y) {
  p = KIND<kernel_shape=[1,1], strides=[1,1], pads=[0,0,0,0]>(x)
  y = Relu(p)
}
"""


@pytest.mark.parametrize("kind", ["AveragePool", "MaxPool"])
def test_a_pool_over_single_pixels_is_removed(kind: str) -> None:
    graph = to_ir(parse(POOL.replace("KIND", kind)))
    assert remove_identity_pool(graph) == PassResult(1)
    assert op_types(graph) == ["Relu"]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("strides=[1,1]", "strides=[2,2]", "its stride is not 1"),
        ("pads=[0,0,0,0]", "pads=[0,0,1,1]", "it pads"),
    ],
)
def test_other_pools_stay(old: str, new: str, reason: str) -> None:
    graph = to_ir(parse(POOL.replace("KIND", "AveragePool").replace(old, new)))
    assert remove_identity_pool(graph) == PassResult(refusals=(Refusal("p", reason),))


def test_a_pool_over_several_pixels_is_no_candidate() -> None:
    graph = to_ir(parse(POOL.replace("KIND", "MaxPool").replace("shape=[1,1]", "shape=[2,2]")))
    assert remove_identity_pool(graph) == PassResult()


@pytest.mark.parametrize(
    ("outputs", "reason"),
    [("y", "its output is the graph's"), ("y, indices", "it gives indices as well")],
)
def test_refuses_what_somebody_else_reads(outputs: str, reason: str) -> None:
    text = f"""
    g (float[N,4,7,7] x) => (float[N,4,7,7] y) {{
      {outputs} = MaxPool<kernel_shape=[1,1]>(x)
    }}
    """
    assert remove_identity_pool(to_ir(parse(text))) == PassResult(refusals=(Refusal("y", reason),))
