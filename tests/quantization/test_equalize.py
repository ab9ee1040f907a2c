"""Channels are scaled where it changes nothing in fp32, and int8 gains where they differ.

Long because the nets are written out as graphs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.graph.layers import layers_of
from resnet_deploy.passes.zero_pad_shortcut import zero_pad_shortcut
from resnet_deploy.quantization import static
from resnet_deploy.quantization.equalize import Equalized, equalize
from resnet_deploy.quantization.least_noise import (
    RoundedTensor,
    RoundedWeights,
    largest_weights,
    predicted_noise,
)
from resnet_deploy.quantization.prepare import cleaned
from resnet_deploy.quantization.rescale import exponents_of, rescale
from resnet_deploy.quantization.scale_groups import scale_groups
from resnet_deploy.quantization.static import quantize_static
from resnet_deploy.runners.compare import difference
from resnet_deploy.runners.ort_runner import open_session
from resnet_deploy.spec import QuantSpec, SessionSpec
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
    groups = scale_groups(graph)
    octaves = np.log2(spread) * rng.uniform(-1, 1, len(groups.free)) * groups.free
    rescale(graph, groups, np.rint(16 * octaves).astype(np.int64))
    return ir.to_proto(graph)


def groups_of(model: Any) -> list[set[str]]:
    """Return the tensors whose first channels may have a factor, by the group of these."""
    groups = scale_groups(to_ir(model))
    found: dict[int, set[str]] = {}
    for value, of in groups.of.items():
        if groups.free[of].all():
            found.setdefault(int(of[0]), set()).add(str(value.name))
    return list(found.values())


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
    assert not any("p1" in tensors for tensors in found)
    assert {"p2", "a2"} in found  # what a gate is multiplied with may have factors
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
    monkeypatch.setattr(static, "equalize", lambda prepared, *_, **__: Equalized(prepared, {}))
    assert with_it > sqnr() + 2


def test_the_equalised_net_computes_the_same_in_fp32() -> None:
    model, images = rescaled(net(), 4, 4.0), noise(32, 3, 12, 12, seed=9)
    equalised = equalize(model, [images], images=len(images), threads=1).model
    assert equalised is not model
    wanted = run(model, images)
    np.testing.assert_allclose(run(equalised, images), wanted, atol=1e-5 * np.abs(wanted).max())


def test_layers_of_other_tools_may_lack_a_bias() -> None:
    text = INVERTED_RESIDUALS.replace("ACTIVATION", "Relu(s)").replace(", fc.bias", "")
    model = parse(text.replace(", head.bias", ""), weights())
    x = noise(2, 3, 12, 12, seed=7)
    wanted = run(model, x)
    found = run(rescaled(model, 1, 3.0), x)
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())
    images = noise(32, 3, 12, 12, seed=9)
    quantize_static(model, QuantSpec(), [images], images=len(images), threads=1).write()


OPTION_A = """
g (float[N,3,8,8] x) => (float[N,5] logits) {
  s = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, stem.weight, stem.bias)
  r = Relu(s)
  i = Conv<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(r, inner.weight, inner.bias)
  ir = Relu(i)
  o = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(ir, outer.weight, outer.bias)
  half = Slice(r, starts, ends, axes, steps)
  copy = Pad(half, widths)
  sum = Add(o, copy)
  out = Relu(sum)
  p = GlobalAveragePool(out)
  f = Flatten(p)
  logits = Gemm<transB=1>(f, fc.weight, fc.bias)
}
"""


def option_a() -> Any:
    drawn = {
        "stem.weight": noise(4, 3, 3, 3, seed=1) / 4,
        "stem.bias": noise(4, seed=2) / 4,
        "inner.weight": noise(8, 4, 3, 3, seed=3) / 4,
        "inner.bias": noise(8, seed=4) / 4,
        "outer.weight": noise(8, 8, 3, 3, seed=5) / 6,
        "outer.bias": noise(8, seed=6) / 4,
        "fc.weight": noise(5, 8, seed=7),
        "fc.bias": noise(5, seed=8),
        "starts": np.array([0, 0]),
        "ends": np.array([8, 8]),
        "axes": np.array([2, 3]),
        "steps": np.array([2, 2]),
        "widths": np.array([0, 2, 0, 0, 0, 2, 0, 0]),
    }
    return parse(OPTION_A, drawn)


@pytest.mark.parametrize("int8_form", [False, True])
def test_a_shortcut_that_copies_ties_the_channels_that_it_copies(int8_form: bool) -> None:
    model = to_ir(option_a())
    if int8_form:
        assert zero_pad_shortcut(model).count == 1
    groups = scale_groups(model)
    of = {str(value.name): list(found) for value, found in groups.of.items()}
    assert groups.free[[*of["r"], *of["out"], *of["ir"]]].all()
    assert of["out"][2:6] == of["r"] == of["s"]
    assert of["out"] == of["o"] == of["copy"] == of["f"]
    assert len({*of["r"], *of["out"], *of["ir"]}) == 4 + 4 + 8


@pytest.mark.parametrize("int8_form", [False, True])
def test_factors_through_a_copy_change_nothing_in_fp32(int8_form: bool) -> None:
    model, x = option_a(), noise(4, 3, 8, 8, seed=9)
    graph = to_ir(model)
    if int8_form:
        zero_pad_shortcut(graph)
    found = run(rescaled(ir.to_proto(graph), 1, 4.0), x)
    wanted = run(model, x)
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


def test_factors_move_to_a_graph_in_another_form() -> None:
    int8_form, float_form, x = to_ir(option_a()), to_ir(option_a()), noise(4, 3, 8, 8, seed=9)
    zero_pad_shortcut(int8_form)
    groups = scale_groups(int8_form)
    drawn = np.random.default_rng(0).integers(-32, 33, len(groups.free)) * groups.free
    known = rescale(int8_form, groups, drawn)
    groups = scale_groups(float_form)
    rescale(float_form, groups, exponents_of(groups, known))
    wanted = run(int8_form, x)
    np.testing.assert_allclose(run(float_form, x), wanted, atol=1e-5 * np.abs(wanted).max())
    with pytest.raises(UnsupportedGraphError, match="is another one"):
        exponents_of(groups.fixed(groups.of), known)


def test_few_images_say_nothing_of_channels() -> None:
    model, images = rescaled(net(), 4, 4.0), noise(31, 3, 12, 12, seed=9)
    assert equalize(model, [images], images=len(images), threads=1).model is model


def test_groups_of_few_values_keep_their_channels() -> None:
    x = noise(32, 3, 4, 4, seed=9)  # 512 values of each channel
    model = parse(OPTION_A.replace("8,8] x", "4,4] x"), dict(_arrays(option_a())))
    assert equalize(model, [x], images=len(x), threads=1).model is model


def _arrays(model: onnx.ModelProto) -> Iterator[tuple[str, np.ndarray]]:
    for tensor in model.graph.initializer:
        yield tensor.name, onnx.numpy_helper.to_array(tensor)


def test_the_noise_has_the_slope_that_it_is_said_to_have() -> None:
    rng = np.random.default_rng(0)
    groups = np.arange(6)
    tensors = [
        RoundedTensor(groups, rng.uniform(1, 9, 6), rng.uniform(0, 3, 6), np.ones(6)),
        RoundedTensor(groups[2:], rng.uniform(1, 9, 4), np.zeros(4), np.ones(4)),
    ]
    power = rng.uniform(1, 2, (2, 3))
    readers = [RoundedWeights(groups.reshape(2, 3), power, rng.uniform(0, 99, (2, 5, 3)), 9)]
    octaves = rng.uniform(-1, 1, 6)
    peaks = largest_weights(octaves, readers)
    _, slope = predicted_noise(octaves, tensors, readers, peaks)
    for place in range(6):
        moved = np.eye(6)[place] * 1e-6
        above, below = (
            predicted_noise(octaves + sign * moved, tensors, readers, peaks)[0] for sign in (1, -1)
        )
        assert slope[place] == pytest.approx((above - below) / 2e-6, rel=1e-4)


def test_layers_are_compared_without_their_factors() -> None:
    model, images = ir.to_proto(cleaned(net())), noise(32, 3, 12, 12, seed=9)
    int8 = quantize_static(model, QuantSpec(), [images], images=len(images), threads=1).write()
    theirs = {layer.name: layer for layer in layers_of(model)}
    scaled = [layer for layer in layers_of(int8) if layer.factors is not None]
    assert len(scaled) > 5
    for layer in scaled:
        other = theirs[layer.name]
        wanted = other.value({other.observed: _tensor(model, other.observed, images)})
        found = layer.value({layer.observed: _tensor(int8, layer.observed, images)})
        assert difference(layer.name, wanted, found).sqnr_db > 25, layer.name


def _tensor(model: onnx.ModelProto, name: str, x: np.ndarray) -> np.ndarray:
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    del exposed.graph.output[:]
    exposed.graph.output.append(onnx.ValueInfoProto(name=name))
    session = open_session(exposed.SerializeToString(), SessionSpec(threads=1))
    found: np.ndarray = session.run(None, {session.get_inputs()[0].name: x})[0]
    return found
