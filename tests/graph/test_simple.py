import numpy as np
import onnx
import pytest

from resnet_deploy.graph.simple import is_simple
from resnet_deploy.simplify import run_onnxsim
from tests.support.graphs import noise, parse

NET = """
g (float[N,3,8,8] x) => (float[N,4] y) {
  c = Conv<kernel_shape=[1,1]>(x, w, b)
  r = Relu(c)
  p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r)
  a = AveragePool<kernel_shape=[2,2], strides=[2,2]>(r)
  s = Add(p, a)
  g = GlobalAveragePool(s)
  h = Sigmoid(g)
  m = Mul(s, h)
  k = Clip(m, low, high)
  q = GlobalAveragePool(k)
  f = Flatten(q)
  l = Gemm<transB=1>(f, v, b)
  y = Softmax<axis=1>(l)
}
"""
WEIGHTS = {
    "w": noise(4, 3, 1, 1),
    "b": noise(4),
    "v": noise(4, 4),
    "low": np.float32(0),
    "high": np.float32(6),
}


def test_onnxsim_changes_nothing_in_a_simple_graph() -> None:
    model = parse(NET, WEIGHTS)
    assert is_simple(model)

    simplified = run_onnxsim(model)
    for node in simplified.graph.node:
        node.ClearField("name")

    assert list(simplified.graph.node) == list(model.graph.node)
    assert {t.name: t.raw_data for t in simplified.graph.initializer} == {
        t.name: t.raw_data for t in model.graph.initializer
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("r = Relu(c)", "i = Identity(c)\n  r = Relu(i)"),
        ("r = Relu(c)", "i = Relu(c)\n  r = Relu(i)"),
        ("r = Relu(c)", "i = Add(c, high)\n  r = Relu(i)"),
        ("r = Relu(c)", "i = Relu(high)\n  j = Mul(c, i)\n  r = Relu(j)"),
        ("r = Relu(c)", "r = Relu(c)\n  i = Relu(c)"),
        ("p = MaxPool", "u = Sigmoid(c)\n  p = MaxPool"),
        ("f = Flatten(q)", "o = Flatten(q)\n  f = Flatten(o)"),
    ],
    ids=["identity", "relu twice", "bias", "constant", "same twice", "unread", "flat already"],
)
def test_a_graph_with_something_left_to_do_is_not(before: str, after: str) -> None:
    assert not is_simple(parse(NET.replace(before, after), WEIGHTS))


def test_a_graph_without_shapes_is_not() -> None:
    model: onnx.ModelProto = parse(NET, WEIGHTS)
    del model.graph.value_info[0]
    assert not is_simple(model)


def test_a_graph_with_unread_weights_is_not() -> None:
    assert not is_simple(parse(NET, {**WEIGHTS, "unread": noise(2)}))
