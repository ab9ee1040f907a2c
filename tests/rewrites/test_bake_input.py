from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.data.formats import encode
from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.rewrites.bake_input import bake_input
from resnet_deploy.spec import ChannelOrder, InputContract, InputFormat
from tests.support.contracts import square
from tests.support.graphs import noise, parse, run

PHOTO = square(16)
BYTES = [kind for kind in InputFormat if not kind.is_float]


def stem(pads: list[int], stride: int = 2, kernel: int = 3, channels: int = 3) -> Any:
    text = f"""
    g (float[N,{channels},16,16] x) => (float[N,5,h,w] y) {{
      y = Conv<kernel_shape=[{kernel},{kernel}], pads={pads}, strides=[{stride},{stride}]>(x, w, b)
    }}
    """
    return parse(text, {"w": noise(5, channels, kernel, kernel), "b": noise(5, seed=1)})


def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)


@pytest.mark.parametrize("wanted", BYTES)
@given(pads=st.lists(st.integers(0, 2), min_size=4, max_size=4), kernel=st.integers(3, 7))
def test_the_graph_over_bytes_computes_the_same_to_the_border(
    wanted: InputFormat, pads: list[int], kernel: int
) -> None:
    model, spec = stem(pads, kernel=kernel), replace(PHOTO, format=wanted)

    baked = bake_input(model, spec)

    expected = run(model, encode(pictures(), PHOTO))
    got = run(baked, encode(pictures(), spec))
    assert np.abs(got - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("wanted", BYTES)
@pytest.mark.parametrize(
    "contract",
    [
        replace(PHOTO, range=(-1.0, 1.0), mean=(0.0,) * 3, std=(1.0,) * 3),
        replace(
            PHOTO,
            channel_order=ChannelOrder.BGR,
            range=(0.0, 255.0),
            mean=(103.939, 116.779, 123.68),
            std=(1.0,) * 3,
        ),
        replace(PHOTO, channel_order=ChannelOrder.GREY, mean=(0.1307,), std=(0.3081,)),
    ],
)
def test_any_contract_is_baked_to_the_border(wanted: InputFormat, contract: InputContract) -> None:
    model, spec = stem([1, 1, 1, 1], channels=contract.channels), replace(contract, format=wanted)
    expected = run(model, encode(pictures(), contract))
    got = run(bake_input(model, spec), encode(pictures(), spec))
    assert np.abs(got - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("wanted", BYTES)
def test_the_input_is_bytes_of_any_batch_size(wanted: InputFormat) -> None:
    baked = bake_input(stem([1, 1, 1, 1]), replace(PHOTO, format=wanted))

    tensor = baked.graph.input[0].type.tensor_type
    assert tensor.elem_type == onnx.TensorProto.UINT8
    assert tensor.shape.dim[0].dim_param == "N"
    assert all(dim.dim_value for dim in tensor.shape.dim[1:])


def test_floats_stay_as_they_are() -> None:
    model = stem([1, 1, 1, 1])
    assert bake_input(model, PHOTO) is model


def test_the_model_given_is_not_changed() -> None:
    model = stem([1, 1, 1, 1])
    before = model.SerializeToString()
    bake_input(model, replace(PHOTO, format=InputFormat.UINT8_NHWC))
    assert model.SerializeToString() == before


def test_blocks_need_a_stem_of_stride_2() -> None:
    with pytest.raises(UnsupportedGraphError, match=r"stride 2.*uint8-nhwc"):
        bake_input(stem([1, 1, 1, 1], stride=1), replace(PHOTO, format=InputFormat.UINT8_S2D))


def test_another_size_than_the_card_says_is_refused() -> None:
    spec = square(32, form=InputFormat.UINT8_NHWC)
    with pytest.raises(UnsupportedGraphError, match="16x16 pixels and its card says 32x32"):
        bake_input(stem([1, 1, 1, 1]), spec)


def test_a_graph_that_starts_otherwise_is_refused() -> None:
    text = "g (float[N,3,16,16] x) => (float[N,3,16,16] y) { y = Relu(x) }"
    with pytest.raises(UnsupportedGraphError, match="read by Relu: export it with --input float"):
        bake_input(parse(text), replace(PHOTO, format=InputFormat.UINT8_NHWC))
