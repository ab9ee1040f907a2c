import numpy as np

from resnet_deploy.passes.flush_denormals import flush_denormals
from resnet_deploy.passes.result import PassResult
from tests.support.graphs import parse, to_ir


def test_only_denormal_weights_become_zero() -> None:
    values = np.array([1e-40, -1e-45, 0.0, 1.2e-38, -1.0], np.float32)
    text = "g (float[5] x) => (float[5] y) { y = Mul(x, w) }"
    graph = to_ir(parse(text, {"w": values}))

    assert flush_denormals(graph) == PassResult(2)

    tensor = graph.graph.initializers["w"].const_value
    assert tensor is not None
    np.testing.assert_array_equal(tensor.numpy(), np.array([0, 0, 0, 1.2e-38, -1], np.float32))
    assert flush_denormals(graph) == PassResult()
