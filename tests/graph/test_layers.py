import numpy as np

from resnet_deploy.graph.layers import layers_of
from tests.support.graphs import noise, parse

BLOCK = """
g (float[N,4,3,3] x) => (float[N,4] logits) {
  a = Conv<kernel_shape=[1,1]>(x, layer1.0.conv1.weight)
  b = Relu(a)
  c = Conv<kernel_shape=[1,1]>(b, layer1.0.conv2.weight)
  d = Add(c, x)
  p = GlobalAveragePool(d)
  logits = Flatten(p)
}
"""


def test_a_layer_is_a_module_and_the_tensor_behind_its_relu() -> None:
    weights = {f"layer1.0.conv{i}.weight": noise(4, 4, 1, 1) for i in (1, 2)}
    layers = {layer.name: layer for layer in layers_of(parse(BLOCK, weights))}

    assert layers["layer1.0.conv1"].tensor == "b"
    assert layers["layer1.0.conv1"].activated
    assert layers["layer1.0.conv2"].tensor == "c"
    assert not layers["layer1.0.conv2"].activated


def test_a_quantized_layer_is_read_from_its_codes() -> None:
    text = """
    g (float[N,4,3,3] x) => (float[N,4,3,3] y) {
      a = Conv<kernel_shape=[1,1]>(x, conv1.weight)
      q = QuantizeLinear(a, scale, zero)
      y = DequantizeLinear(q, scale, zero)
    }
    """
    values = {"scale": np.float32(0.5), "zero": np.uint8(3), "conv1.weight": noise(4, 4, 1, 1)}
    (layer,) = layers_of(parse(text, values))

    assert (layer.name, layer.observed, layer.tensor) == ("conv1", "q", "a")
    codes = np.array([3, 4, 0], np.uint8)
    np.testing.assert_array_equal(layer.value({"q": codes}), np.array([0.0, 0.5, -1.5]))


def test_a_relu6_has_a_ceiling() -> None:
    text = """
    g (float[N,4,3,3] x) => (float[N,4,1,1] y) {
      a = Conv<kernel_shape=[1,1]>(x, conv1.weight)
      b = Clip(a, low, high)
      y = GlobalAveragePool(b)
    }
    """
    values = {"conv1.weight": noise(4, 4, 1, 1), "low": np.float32(0), "high": np.float32(6)}
    (layer,) = layers_of(parse(text, values))
    assert (layer.tensor, layer.activated, layer.ceiling) == ("b", True, 6.0)
