"""What the arithmetic in front of the first convolution tells of a file's input.

Long because every way in which exporters write it has its graph.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from resnet_deploy.graph.front import front_of
from resnet_deploy.graph.front_options import front_options
from resnet_deploy.spec import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ChannelOrder,
    InputOptions,
    Layout,
)
from tests.support.graphs import noise, parse

MEAN, STD = np.array(IMAGENET_MEAN, np.float32), np.array(IMAGENET_STD, np.float32)
CAFFE = np.array([103.939, 116.779, 123.68], np.float32)  # of BGR
NCHW, NHWC = (1, 3, 1, 1), (1, 1, 1, 3)


def net(
    steps: str,
    weights: dict[str, Any] | None = None,
    *,
    shape: str = "N,3,8,8",
    dtype: str = "float",
    channels: int = 3,
    opset: int = 17,
) -> Any:
    """Return a graph whose ``steps`` make f of the image x, in front of a convolution."""
    text = f"""g ({dtype}[{shape}] x) => (float[A,B,C,D] y) {{
        {steps}
        y = Conv(f, w)
    }}"""
    return parse(text, {"w": noise(4, channels, 3, 3), **(weights or {})}, opset=opset)


def options(steps: str, weights: dict[str, Any] | None = None, **more: Any) -> InputOptions:
    return front_options(net(steps, weights, **more).graph)


def at(values: Any, shape: tuple[int, ...] = NCHW) -> Any:
    return np.asarray(values, np.float32).reshape(shape)


ZERO_TO_ONE, BYTES, SIGNED = (0.0, 1.0), (0.0, 255.0), (-1.0, 1.0)


@pytest.mark.parametrize(
    ("steps", "weights", "expected"),
    [
        ("f = Identity(x)", {}, None),
        ("a = Sub(x, m) f = Div(a, s)", {"m": at(MEAN), "s": at(STD)}, ZERO_TO_ONE),
        ("a = Sub(x, m) f = Mul(a, s)", {"m": at(MEAN), "s": at(1 / STD)}, ZERO_TO_ONE),
        ("a = Mul(x, s) f = Add(a, m)", {"m": at(-MEAN / STD), "s": at(1 / STD)}, ZERO_TO_ONE),
        (
            "d = Div(x, n) a = Sub(d, m) f = Div(a, s)",
            {"n": np.float32(255), "m": at(MEAN), "s": at(STD)},
            BYTES,
        ),
        (
            "a = Sub(x, m) f = Div(a, s)",
            {"m": at(255 * MEAN), "s": at(255 * STD)},
            BYTES,
        ),
        ("f = Div(x, n)", {"n": np.float32(255)}, BYTES),
        ("f = Mul(x, n)", {"n": np.float32(1 / 256)}, BYTES),
        ("f = Mul(x, n)", {"n": np.float32(255)}, ZERO_TO_ONE),
        ("a = Div(x, n) f = Sub(a, o)", {"n": np.float32(127.5), "o": np.float32(1)}, BYTES),
        ("a = Sub(x, o) f = Div(a, n)", {"n": np.float32(128), "o": np.float32(128)}, BYTES),
        ("a = Mul(x, n) f = Sub(a, o)", {"n": np.float32(2), "o": np.float32(1)}, ZERO_TO_ONE),
        ("f = Sub(x, o)", {"o": np.float32(0.5)}, ZERO_TO_ONE),
        ("f = Sub(x, o)", {"o": np.float32(127.5)}, BYTES),
        ("f = Sub(x, o)", {"o": at(CAFFE)}, BYTES),
        ("a = Sub(x, o) f = Mul(a, n)", {"o": at(CAFFE), "n": np.float32(0.017)}, BYTES),
        ("a = Add(x, o) f = Mul(a, n)", {"o": np.float32(1), "n": np.float32(127.5)}, SIGNED),
        ("a = Mul(x, n) f = Add(a, n)", {"n": np.float32(0.5)}, SIGNED),
        ("f = Sub(o, x)", {"o": np.float32(255)}, BYTES),
        ("f = Sub(o, x)", {"o": np.float32(1)}, ZERO_TO_ONE),
        # A mean image, and one that is computed from constants.
        ("f = Sub(x, o)", {"o": np.tile(at(CAFFE), (1, 1, 8, 8))}, BYTES),
        ("r = Sqrt(v) a = Sub(x, m) f = Div(a, r)", {"m": at(MEAN), "v": at(STD**2)}, ZERO_TO_ONE),
        ("c = Cast<to=1>(x) f = Div(c, n)", {"n": np.float32(255)}, BYTES),
        # What is not clear is not said.
        ("f = Mul(x, n)", {"n": np.float32(0.5)}, None),
        ("f = Mul(x, n)", {"n": np.float32(0.017)}, None),
        ("f = Mul(x, n)", {"n": np.float32(0)}, None),
        ("f = Add(x, o)", {"o": np.float32(1000)}, None),
        ("f = Div(x, n)", {"n": np.float32(0)}, None),
        ("a = Mul(x, x) f = Div(a, n)", {"n": np.float32(255)}, None),
    ],
)
def test_the_range_that_arithmetic_wants(
    steps: str, weights: dict[str, Any], expected: tuple[float, float] | None
) -> None:
    found = options(steps, weights)
    assert found.range == expected
    assert (found.mean, found.std) == (None, None)
    assert found.layout is Layout.NCHW
    assert found.image_size == (8, 8)


@pytest.mark.parametrize(
    ("steps", "weights", "order"),
    [
        ("a = Sub(x, m) f = Div(a, s)", {"m": at(MEAN), "s": at(STD)}, ChannelOrder.RGB),
        (
            "a = Sub(x, m) f = Div(a, s)",
            {"m": at(MEAN[::-1]), "s": at(STD[::-1])},
            ChannelOrder.BGR,
        ),
        ("f = Sub(x, m)", {"m": at(CAFFE)}, ChannelOrder.BGR),
        ("f = Sub(x, m)", {"m": at([104, 117, 123])}, ChannelOrder.BGR),
        ("f = Sub(x, m)", {"m": at(CAFFE[::-1])}, ChannelOrder.RGB),
        # Keras' Caffe mode: RGB comes in, BGR goes on.
        ("g = Gather<axis=1>(x, i) f = Sub(g, m)", {"m": at(CAFFE)}, ChannelOrder.RGB),
        ("g = Gather<axis=1>(x, i) f = Sub(g, m)", {"m": at(CAFFE[::-1])}, ChannelOrder.BGR),
        ("a = Sub(x, m) f = Gather<axis=1>(a, i)", {"m": at(CAFFE)}, ChannelOrder.BGR),
        # A reversal alone tells nothing: it may be from BGR to RGB as well.
        ("f = Gather<axis=1>(x, i)", {}, None),
        ("f = Sub(x, m)", {"m": np.float32(127.5)}, None),
        ("f = Sub(x, m)", {"m": at([120, 120, 121])}, None),
    ],
)
def test_the_order_that_known_means_tell(
    steps: str, weights: dict[str, Any], order: ChannelOrder | None
) -> None:
    found = options(steps, {"i": np.array([2, 1, 0]), **weights})
    assert found.channel_order is order


BACKWARDS = {
    "start": np.array([-1]),
    "end": np.array([-(2**63) + 1]),
    "axis": np.array([3]),
    "step": np.array([-1]),
}
REVERSALS = [
    ("r = Slice(x, start, end, axis, step) f = Transpose<perm=[0,3,1,2]>(r)", BACKWARDS),
    ("t = Transpose<perm=[0,3,1,2]>(x) f = Gather<axis=-3>(t, i)", {"i": np.array([2, 1, 0])}),
    (
        "a, b, c = Split<axis=3>(x) r = Concat<axis=-1>(c, b, a) f = Transpose<perm=[0,3,1,2]>(r)",
        {},
    ),
    (
        "a = Gather<axis=3>(x, zero) b = Gather<axis=3>(x, one) c = Gather<axis=3>(x, two) "
        "d = Unsqueeze(a, axis) e = Unsqueeze(b, axis) h = Unsqueeze(c, axis) "
        "f = Concat<axis=1>(h, e, d)",
        {
            "zero": np.array(0),
            "one": np.array(1),
            "two": np.array(2),
            "axis": np.array([1]),
        },
    ),
    (
        "t = Transpose<perm=[0,3,1,2]>(x) f = Conv(t, k)",
        {"k": np.eye(3, dtype=np.float32)[::-1].reshape(3, 3, 1, 1).copy()},
    ),
]


@pytest.mark.parametrize(("steps", "weights"), REVERSALS)
def test_reversals_of_the_channels_are_seen(steps: str, weights: dict[str, Any]) -> None:
    model = net(steps, weights, shape="N,8,6,3", opset=13 if "Split" in steps else 17)
    found = front_of(model.graph)
    assert (found.layout, found.channels) == (Layout.NHWC, 3)
    assert found.reverses
    assert found.scale == (1.0, 1.0, 1.0)
    assert front_options(model.graph).image_size == (8, 6)


@pytest.mark.parametrize(("steps", "weights"), REVERSALS)
def test_arithmetic_behind_a_reversal_is_in_the_order_of_the_input(
    steps: str, weights: dict[str, Any]
) -> None:
    steps = f"{steps.replace('f =', 'q =')} f = Sub(q, m)"
    model = net(steps, {**weights, "m": at(CAFFE)}, shape="N,8,6,3")
    assert front_of(model.graph).offset == pytest.approx(tuple(-CAFFE[::-1]))
    assert front_options(model.graph).channel_order is ChannelOrder.RGB


def test_keras_layers() -> None:
    """``Rescaling`` and ``Normalization``, in NHWC, in front of the Transpose."""
    steps = """a = Mul(x, n) b = Sub(a, m) c = Div(b, s)
        f = Transpose<perm=[0,3,1,2]>(c)"""
    weights = {"n": np.float32(1 / 255), "m": at(MEAN, NHWC), "s": at(STD, NHWC)}
    found = options(steps, weights, shape="N,48,192,3")
    assert found == InputOptions(
        layout="NHWC", range="0-255", channel_order="RGB", image_size=(48, 192)
    )


def test_the_transform_of_googlenet_tells_that_its_input_is_normalised() -> None:
    steps = "".join(
        f"g{i} = Gather<axis=1>(x, i{i}) u{i} = Unsqueeze(g{i}, one) "
        f"a{i} = Mul(u{i}, s{i}) b{i} = Add(a{i}, m{i}) "
        for i in range(3)
    )
    weights: dict[str, Any] = {"one": np.array([1])}
    for i in range(3):
        weights[f"i{i}"] = np.array(i)
        weights[f"s{i}"] = np.float32(STD[i] / 0.5)
        weights[f"m{i}"] = np.float32((MEAN[i] - 0.5) / 0.5)
    found = options(f"{steps} f = Concat<axis=1>(b0, b1, b2)", weights)
    assert found.range == ZERO_TO_ONE
    assert (found.mean, found.std) == (IMAGENET_MEAN, IMAGENET_STD)
    assert found.channel_order is ChannelOrder.RGB


@pytest.mark.parametrize(
    ("mean", "variance", "expected"),
    [
        ([124, 117, 104], [3300, 3200, 3300], BYTES),
        ([0.49, 0.46, 0.41], [0.07, 0.07, 0.07], ZERO_TO_ONE),
        ([-0.03, -0.09, -0.19], [0.21, 0.2, 0.2], SIGNED),
        ([0.0, 0.0, 0.0], [1, 1, 1], None),
        ([0.02, -0.01, 0.0], [0.98, 1.1, 1.2], None),
        ([0.5, 120, 0.5], [0.07, 0.07, 0.07], None),
    ],
)
def test_a_batchnorm_in_front_remembers_the_range(
    mean: list[float], variance: list[float], expected: tuple[float, float] | None
) -> None:
    """As MXNet's nets begin."""
    vectors = {name: np.array(v, np.float32) for name, v in (("m", mean), ("v", variance))}
    ones = {"one": np.ones(3, np.float32), "zero": np.zeros(3, np.float32)}
    found = options("f = BatchNormalization(x, one, zero, m, v)", {**vectors, **ones})
    assert found.range == expected
    order = ChannelOrder.RGB if expected in (BYTES, ZERO_TO_ONE) else found.channel_order
    assert found.channel_order is order


@pytest.mark.parametrize(
    ("steps", "weights", "expected"),
    [
        ("f = Clip(x, low, high)", {"low": np.float32(0), "high": np.float32(255)}, BYTES),
        ("f = Clip(x, low, high)", {"low": np.float32(0), "high": np.float32(1)}, ZERO_TO_ONE),
        (
            "q = QuantizeLinear(x, s, z) f = DequantizeLinear(q, s, z)",
            {"s": np.float32(1), "z": np.uint8(0)},
            BYTES,
        ),
        (
            "q = QuantizeLinear(x, s, z) f = DequantizeLinear(q, s, z)",
            {"s": np.float32(2 / 255), "z": np.int8(0)},
            SIGNED,
        ),
        (
            "q = QuantizeLinear(x, s, z) f = DequantizeLinear(q, s, z)",
            {"s": np.float32(3.7 / 255), "z": np.uint8(100)},
            None,
        ),
    ],
)
def test_limits_of_values(
    steps: str, weights: dict[str, Any], expected: tuple[float, float] | None
) -> None:
    assert options(steps, weights).range == expected


def test_int8_codes_tell_imagenets_normalisation() -> None:
    weights = {"s": np.float32((2.64 + 2.118) / 255), "z": np.uint8(114)}
    found = options("q = QuantizeLinear(x, s, z) f = DequantizeLinear(q, s, z)", weights)
    assert (found.range, found.mean, found.std) == (ZERO_TO_ONE, IMAGENET_MEAN, IMAGENET_STD)


@pytest.mark.parametrize(
    ("shape", "steps", "channels", "layout", "order"),
    [
        ("N,C,H,W", "f = Identity(x)", 1, Layout.NCHW, ChannelOrder.GREY),
        ("N,C,H,W", "f = Transpose<perm=[0,3,1,2]>(x)", 3, Layout.NHWC, None),
        ("N,28,28,1", "f = Transpose<perm=[0,3,1,2]>(x)", 1, Layout.NHWC, ChannelOrder.GREY),
        ("N,3,3,3", "f = Transpose<perm=[0,3,1,2]>(x)", 3, Layout.NHWC, None),
        ("N,3,224,224", "a = NonZero(x) f = Cast<to=1>(a)", 3, Layout.NCHW, None),
        ("N,4,8,8", "f = Identity(x)", 4, Layout.NCHW, None),
    ],
)
def test_layout_and_channels(
    shape: str, steps: str, channels: int, layout: Layout, order: ChannelOrder | None
) -> None:
    model = (
        net("f = Identity(x)", shape="N,3,8,8", channels=channels)
        if "NonZero" in steps
        else net(steps, shape=shape, channels=channels)
    )
    found = front_of(model.graph)
    assert (found.layout, found.channels) == (layout, channels)
    assert front_options(model.graph).channel_order is order


def test_nodes_that_only_look_at_the_shape_do_not_end_the_walk() -> None:
    found = options("s = Shape(x) f = Div(x, n)", {"n": np.float32(255)})
    assert found.range == BYTES


def test_damage_ends_the_walk_without_a_word() -> None:
    node = helper.make_node
    graph = helper.make_graph(
        [node("Sub", ["x"], ["a"]), node("Conv", ["a"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    assert front_of(graph).layout is Layout.NCHW
    ring = helper.make_graph(
        [node("Add", ["x", "b"], ["a"]), node("Identity", ["b"], ["b"])],
        "g",
        graph.input,
        graph.output,
    )
    assert front_options(ring).range is None


def test_huge_constants_are_not_computed() -> None:
    model = onnx.ModelProto()
    model.CopyFrom(net("f = Sub(x, o)", {"o": np.float32(1)}))
    model.graph.initializer[-1].dims[:] = [1 << 20, 1 << 20]
    assert front_options(model.graph).range is None
