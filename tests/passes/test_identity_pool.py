import pytest

from resnet_deploy.passes.identity_pool import remove_identity_pool
from resnet_deploy.passes.result import PassResult
from tests.passes.graphs import op_types, parse, to_ir

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
    ("old", "new"),
    [
        ("kernel_shape=[1,1]", "kernel_shape=[2,2]"),
        ("strides=[1,1]", "strides=[2,2]"),
        ("pads=[0,0,0,0]", "pads=[0,0,1,1]"),
    ],
)
def test_other_pools_stay(old: str, new: str) -> None:
    graph = to_ir(parse(POOL.replace("KIND", "AveragePool").replace(old, new)))
    assert remove_identity_pool(graph) == PassResult()
