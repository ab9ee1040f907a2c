"""Channels are scaled where it changes nothing in fp32, and int8 gains where they differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_deploy.quantization import static
from resnet_deploy.quantization.equalize import equalize, is_worth_it, rescale
from resnet_deploy.quantization.scale_groups import scale_groups
from resnet_deploy.quantization.static import quantize_static
from resnet_deploy.runners.compare import difference
from resnet_deploy.spec import QuantSpec
from tests.support.graphs import noise, parse, run, to_ir

C = 16
INVERTED_RESIDUALS = """
g (float[N,3,12,12] x) => (float[N,10] logits) {
  s = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, stem.weight, stem.bias)
  r = ACTIVATION
  d1 = Conv<kernel_shape=[3,3], pads=[1,1,1,1], group=16>(r, dw1.weight, dw1.bias)
  r1 = Relu(d1)
  p1 = Conv(r1, project1.weight, project1.bias)
  e2 = Conv(p1, expand2.weight, expand2.bias)
  r2 = LeakyRelu<alpha=0.1>(e2)
  d2 = Conv<kernel_shape=[3,3], pads=[1,1,1,1], group=16>(r2, dw2.weight, dw2.bias)
  m2 = MaxPool<kernel_shape=[3,3], pads=[1,1,1,1]>(d2)
  p2 = Conv(m2, project2.weight, project2.bias)
  a2 = Add(p1, p2)
  h = Conv(a2, head.weight, head.bias)
  hr = Relu(h)
  g = GlobalAveragePool(hr)
  f = Flatten(g)
  logits = Gemm<transB=1>(f, fc.weight, fc.bias)
}
"""
STREAM = {"p1", "p2", "a2"}


def weights() -> dict[str, np.ndarray]:
    shapes: dict[str, tuple[int, ...]] = {
        "stem": (C, 3, 3, 3),
        **dict.fromkeys(("dw1", "dw2"), (C, 1, 3, 3)),
        **dict.fromkeys(("project1", "expand2", "project2", "head"), (C, C, 1, 1)),
        "fc": (10, C),
    }
    made = {}
    for seed, (name, shape) in enumerate(shapes.items()):
        made[f"{name}.weight"] = noise(*shape, seed=seed) * float(2 / np.prod(shape[1:])) ** 0.5
        made[f"{name}.bias"] = noise(shape[0], seed=100 + seed) / 10
    return made


def net(activation: str = "Relu(s)", **more: Any) -> Any:
    text = INVERTED_RESIDUALS.replace("ACTIVATION", activation)
    return parse(text, weights() | more)


def rescaled(model: onnx.ModelProto, seed: int, spread: float) -> onnx.ModelProto:
    """Return ``model`` with random factors within ``spread`` for each channel of each group."""
    graph = to_ir(model)
    rng = np.random.default_rng(seed)
    for group in scale_groups(graph):
        rescale(graph.graph, group, spread ** rng.uniform(-1, 1, group.channels))
    return ir.to_proto(graph)


def groups_of(model: Any) -> list[set[str]]:
    return [{str(value.name) for value in group.tensors} for group in scale_groups(to_ir(model))]


def test_a_stream_is_one_group_and_a_depthwise_convolution_parts_two() -> None:
    found = groups_of(net())
    assert STREAM in found
    assert {"s", "r"} in found
    assert {"d1", "r1"} in found
    assert {"d2", "m2"} in found
    assert {"h", "hr", "g", "f"} in found
    assert len(found) == 6


@pytest.mark.parametrize(
    "activation", ["Clip(s, zero, six)", "Sigmoid(s)", "HardSwish(s)", "Softplus(s)"]
)
def test_what_is_not_homogeneous_is_left_alone(activation: str) -> None:
    limits = {"zero": np.float32(0), "six": np.float32(6)} if "Clip" in activation else {}
    found = groups_of(net(activation, **limits))
    assert not any("s" in tensors or "r" in tensors for tensors in found)
    assert STREAM in found


def test_a_tensor_that_something_else_reads_is_left_alone() -> None:
    text = INVERTED_RESIDUALS.replace("ACTIVATION", "Relu(s)").replace(
        "a2 = Add(p1, p2)", "gate = Sigmoid(p1)\n a2 = Mul(p2, gate)"
    )
    found = groups_of(parse(text, weights()))
    assert not any(STREAM & tensors for tensors in found)
    assert {"d1", "r1"} in found


def test_a_flatten_that_spreads_pixels_is_left_alone() -> None:
    text = INVERTED_RESIDUALS.replace("ACTIVATION", "Relu(s)").replace(
        "g = GlobalAveragePool(hr)", "g = MaxPool<kernel_shape=[6,6], strides=[6,6]>(hr)"
    )
    model = parse(text, weights() | {"fc.weight": noise(10, 4 * C)})
    assert not any("hr" in tensors for tensors in groups_of(model))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), spread=st.floats(1.0, 32.0))
def test_factors_change_nothing_in_fp32(seed: int, spread: float) -> None:
    model, x = net(), noise(2, 3, 12, 12, seed=7)
    wanted = run(model, x)
    found = run(rescaled(model, seed, spread), x)
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


def test_int8_of_unequal_channels_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = rescaled(net(), 3, 3.0), noise(32, 3, 12, 12, seed=9)
    x = noise(16, 3, 12, 12, seed=8)

    def sqnr() -> float:
        int8 = quantize_static(model, QuantSpec(), [images], images=len(images), threads=1).write()
        return difference("y", run(model, x), run(int8, x)).sqnr_db

    with_it = sqnr()
    monkeypatch.setattr(static, "equalize", lambda prepared, *_, **__: prepared)
    assert with_it > sqnr() + 2


def test_the_equalised_net_computes_the_same_in_fp32() -> None:
    model, images = rescaled(net(), 4, 4.0), noise(32, 3, 12, 12, seed=9)
    equalised = equalize(model, [images], images=len(images), threads=1)
    assert equalised is not model
    wanted = run(model, images)
    np.testing.assert_allclose(run(equalised, images), wanted, atol=1e-5 * np.abs(wanted).max())


def test_it_is_for_nets_with_depthwise_convolutions() -> None:
    model = parse(
        """
        g (float[N,3,8,8] x) => (float[N,4] y) {
          a = Conv(x, a.weight, a.bias)
          r = Relu(a)
          b = Conv(r, b.weight, b.bias)
          p = GlobalAveragePool(b)
          y = Flatten(p)
        }
        """,
        {
            "a.weight": noise(8, 3, 1, 1),
            "a.bias": noise(8),
            "b.weight": noise(4, 8, 1, 1),
            "b.bias": noise(4),
        },
    )
    assert not is_worth_it(model)
    assert is_worth_it(net())
