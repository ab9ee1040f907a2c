from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.data.formats import encode
from resnet_deploy.graph.layers import layers_of
from resnet_deploy.passes.result import PassResult, Refusal
from resnet_deploy.rewrites.bake_input import bake_input
from resnet_deploy.rewrites.byte_input import byte_input
from resnet_deploy.spec import InputContract, InputFormat
from tests.support.contracts import square
from tests.support.graphs import noise, op_types, parse, run, to_ir

# Whole grey levels as means: then the border, which is made of bytes, is exact too.
LEVELS = square(16, mean=(120 / 255, 110 / 255, 90 / 255), std=(0.2, 0.25, 0.3))

LEVELS_NHWC = replace(LEVELS, format=InputFormat.UINT8_NHWC)


def stem(pads: list[int], stride: int, kernel: int, width: int = 16) -> Any:
    text = f"""
    g (float[N,3,16,{width}] x) => (float[N,5,h,w] y) {{
      c = Conv<kernel_shape=[{kernel},{kernel}], pads={pads}, strides=[{stride},{stride}]>(x, w, b)
      y0 = Relu(c)
      y = MaxPool<kernel_shape=[2,2]>(y0)
    }}
    """
    return parse(text, {"w": noise(5, 3, kernel, kernel), "b": noise(5, seed=1)})


def pictures(width: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 16, width, 3)).astype(np.uint8)


def compare(model: onnx.ModelProto, spec: InputContract, *, widen: bool = True) -> ir.Model:
    """Rewrite ``model`` for bytes, compare with the original, return the rewritten graph."""
    graph = to_ir(bake_input(model, spec))
    assert byte_input(graph, widen=widen) == PassResult(1)
    expected = run(model, encode(pictures(), LEVELS))
    got = run(graph, encode(pictures(), spec))
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= 1e-5 * np.abs(expected).max() + 1e-5
    return graph


@pytest.mark.parametrize("wanted", [InputFormat.UINT8_NHWC, InputFormat.UINT8_NCHW])
@given(
    pads=st.lists(st.integers(0, 3), min_size=4, max_size=4),
    stride=st.integers(1, 4),
    kernel=st.integers(1, 7),
)
def test_groups_of_pixels_give_the_same_to_the_border(
    wanted: InputFormat, pads: list[int], stride: int, kernel: int
) -> None:
    compare(stem(pads, stride, kernel), replace(LEVELS, format=wanted))


@given(pads=st.lists(st.integers(0, 3), min_size=4, max_size=4), kernel=st.integers(2, 7))
def test_blocks_from_the_host_too(pads: list[int], kernel: int) -> None:
    compare(stem(pads, 2, kernel), replace(LEVELS, format=InputFormat.UINT8_S2D))


@pytest.mark.parametrize(("stride", "copies"), [(1, 4), (2, 2)])
def test_four_pixels_are_twelve_channels_without_moving_a_byte(stride: int, copies: int) -> None:
    spec = replace(LEVELS, format=InputFormat.UINT8_NHWC)

    graph = compare(stem([3, 3, 3, 3], stride, 7), spec)

    conv = next(node for node in graph.graph if node.op_type == "Conv")
    weight = conv.inputs[1]
    assert weight is not None
    assert weight.shape is not None
    assert list(weight.shape)[:2] == [5 * copies, 12]
    assert op_types(graph)[0] == "Reshape"


def test_a_plain_convolution_keeps_its_kernel() -> None:
    spec = replace(LEVELS, format=InputFormat.UINT8_NHWC)
    graph = compare(stem([3, 3, 3, 3], 2, 7), spec, widen=False)
    conv = next(node for node in graph.graph if node.op_type == "Conv")
    weight = conv.inputs[1]
    assert weight is not None
    assert weight.shape is not None
    assert list(weight.shape) == [5, 3, 7, 7]


@pytest.mark.parametrize("width", [14, 15])
def test_a_width_without_groups_keeps_three_channels(width: int) -> None:
    model = stem([3, 3, 3, 3], 2, 7, width)
    graph = to_ir(model)
    x = graph.graph.inputs[0]
    assert x.shape is not None
    spec = replace(LEVELS, format=InputFormat.UINT8_NHWC)
    baked = bake_input(stem([3, 3, 3, 3], 2, 7), spec)
    baked.graph.input[0].type.tensor_type.shape.dim[2].dim_value = width
    del baked.graph.value_info[:]
    graph = to_ir(onnx.shape_inference.infer_shapes(baked))

    assert byte_input(graph) == PassResult(1)

    expected = run(model, encode(pictures(width), LEVELS))
    np.testing.assert_allclose(run(graph, pictures(width)), expected, rtol=1e-4, atol=1e-4)
    assert "Reshape" not in op_types(graph)


def test_a_mean_between_two_levels_is_half_a_level_off_at_most() -> None:
    usual = square(16)
    model, spec = stem([1, 1, 1, 1], 1, 3), replace(usual, format=InputFormat.UINT8_NHWC)
    graph = to_ir(bake_input(model, spec))
    byte_input(graph)

    got, expected = run(graph, pictures()), run(model, encode(pictures(), usual))

    inner = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    np.testing.assert_allclose(got[inner], expected[inner], rtol=1e-4, atol=1e-4)
    weight = onnx.numpy_helper.to_array(model.graph.initializer[0])
    worst = (np.abs(weight) * (0.5 / 255 / np.reshape(usual.std, (1, 3, 1, 1)))).sum((1, 2, 3))
    assert np.abs(got - expected).max() <= worst.max()


def test_the_layer_s_result_is_looked_at_in_its_usual_shape() -> None:
    spec = replace(LEVELS, format=InputFormat.UINT8_NHWC)
    graph = to_ir(bake_input(stem([1, 1, 1, 1], 1, 3), spec))
    byte_input(graph)
    proto = ir.to_proto(graph)

    layer = layers_of(proto)[0]

    assert layer.activated
    proto.graph.output[0].name = layer.tensor
    assert run(proto, pictures()).shape == (2, 5, 16, 16)


def test_other_graphs_over_bytes_stay_as_they_are() -> None:
    text = """
    g (uint8[N,3,16,16] x) => (float[N,3,16,16] y) {
      f = Cast<to=1>(x)
      y = Relu(f)
    }
    """
    graph = to_ir(parse(text))
    reason = "what reads it is not one Cast, Sub and Conv (behind a Transpose or not)"
    assert byte_input(graph) == PassResult(refusals=(Refusal("x", reason),))
    assert op_types(graph) == ["Cast", "Relu"]


def test_refuses_a_convolution_with_dilations() -> None:
    text = """
    g (float[N,3,16,16] x) => (float[N,5,h,w] y) {
      y = Conv<kernel_shape=[3,3], dilations=[2,2]>(x, w)
    }
    """
    graph = to_ir(bake_input(parse(text, {"w": noise(5, 3, 3, 3)}), LEVELS_NHWC))
    reason = "it has groups, dilations, automatic padding or parameters of run time"
    assert byte_input(graph) == PassResult(refusals=(Refusal("y", reason),))


def test_a_float_input_is_no_candidate() -> None:
    assert byte_input(to_ir(stem([1, 1, 1, 1], 1, 3))) == PassResult()
