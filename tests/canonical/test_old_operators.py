"""Operators of opset 1 to 12, beside what ONNX Runtime computes for the file as it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.model_file import read_file, read_model
from resnet_deploy.canonical import canonical
from resnet_deploy.canonical.raising import reason_to_stay
from resnet_deploy.errors import RunnerError
from resnet_deploy.graph.releases import opset_of
from resnet_deploy.runners.ort_runner import open_session
from resnet_deploy.spec import SessionSpec
from tests.support.graphs import noise

IMAGE = "float[2,4,6,5] x"

PER_CHANNEL = {name: np.abs(noise(4)) + 0.5 for name in "abcd"}


LINEAR = {"w": noise(3, 120), "b": noise(3)}

PER_PIXEL = {name: np.abs(noise(4, 6, 5)) + 0.5 for name in "abcd"}


def model_of(text: str, opset: int, constants: Mapping[str, Array]) -> onnx.ModelProto:
    header = f'<ir_version: 4, opset_import: ["" : {opset}]>\n'
    model: onnx.ModelProto = onnx.parser.parse_model(header + text)
    for name, array in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    model.graph.output[0].type.tensor_type.ClearField("shape")  # "float y" would be a number
    return onnx.shape_inference.infer_shapes(model)


def answer(model: onnx.ModelProto, x: Array) -> list[Array]:
    session = open_session(model.SerializeToString(), SessionSpec())
    return [np.asarray(value) for value in session.run(None, {"x": x})]


CASES = [
    pytest.param(f"g ({IMAGE}) => (float y) {{ {body} }}", opset, constants, id=f"{name}-{opset}")
    for name, body, opset, constants in (
        ("clip", "y = Clip<min=-0.5, max=0.25>(x)", 7, {}),
        ("clip", "y = Clip<max=0.25>(x)", 10, {}),
        ("pad", "y = Pad<pads=[0,0,1,2,0,1,0,1], value=0.5>(x)", 7, {}),
        ("pad", 'y = Pad<pads=[0,0,1,2,0,0,1,1], mode="reflect">(x)', 10, {}),
        ("slice", "y = Slice<starts=[1,-3], ends=[9999,-1], axes=[2,3]>(x)", 7, {}),
        ("squeeze", "a = Unsqueeze<axes=[0,3]>(x)\n y = Squeeze<axes=[0]>(a)", 7, {}),
        ("split", "a, y = Split<axis=1, split=[1,3]>(x)", 7, {}),
        ("split", "a, y = Split<axis=1>(x)", 11, {}),
        ("softmax", "y = Softmax(x)", 7, {}),
        ("softmax", "y = Softmax<axis=-1>(x)", 11, {}),
        ("softmax", "y = Softmax<axis=2>(x)", 12, {}),
        ("log_softmax", "a = GlobalAveragePool(x)\n y = LogSoftmax(a)", 8, {}),
        ("sum", "a = Relu(x)\n b = Neg(x)\n y = Sum(x, a, b)", 8, {}),
        ("max", "a = Neg(x)\n y = Max(x, a)", 8, {}),
        ("dropout", "a, mask = Dropout<ratio=0.4>(x)\n y = Relu(a)", 7, {}),
        ("dropout", "a = Relu(x)\n y = Dropout(a)", 10, {}),
        ("reduce_sum", "y = ReduceSum<axes=[2,3], keepdims=0>(x)", 11, {}),
        ("reduce_mean", "y = ReduceMean<axes=[2,3]>(x)", 8, {}),
        ("upsample", 'y = Upsample<mode="nearest", scales=[1.,1.,2.,3.]>(x)', 7, {}),
        ("upsample", 'y = Upsample<mode="linear", scales=[1.,1.,2.,2.]>(x)', 8, {}),
        ("upsample", "y = Upsample(x, s)", 9, {"s": np.array([1, 1, 2, 1.5], np.float32)}),
        ("resize", "y = Resize(x, s)", 10, {"s": np.array([1, 1, 0.5, 0.4], np.float32)}),
        ("resize", "y = Resize(x, s)", 10, {"s": np.array([1, 1, 1.5, 2], np.float32)}),
        ("top_k", "y, i = TopK<k=2, axis=3>(x)", 9, {}),
        ("prelu", "y = PRelu(x, s)", 8, {"s": noise(4, 1, 1)}),
        ("norm", "y = BatchNormalization<epsilon=0.001>(x, a, b, c, d)", 7, PER_CHANNEL),
        ("norm", "y = BatchNormalization<spatial=1>(x, a, b, c, d)", 8, PER_CHANNEL),
        ("norm", "y = BatchNormalization<spatial=0>(x, a, b, c, d)", 8, PER_PIXEL),
        ("lrn", "y = LRN<size=3, alpha=0.1, bias=2.>(x)", 7, {}),
        ("pool", "y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(x)", 7, {}),
        (
            "gemm",
            "a = Flatten(x)\n y = Gemm<transB=1>(a, w, b)",
            7,
            {"w": noise(3, 120), "b": noise(3)},
        ),
        ("concat", "a = Relu(x)\n y = Concat<axis=1>(x, a)", 7, {}),
        ("cast", "a = Cast<to=7>(x)\n y = Cast<to=1>(a)", 8, {}),
        ("reshape", "y = Reshape(x, s)", 7, {"s": np.array([0, -1], np.int64)}),
    )
]


@pytest.mark.parametrize(("text", "opset", "constants"), CASES)
def test_the_raised_graph_computes_the_same(
    text: str, opset: int, constants: dict[str, Array]
) -> None:
    model = model_of(text, opset, constants)
    x = noise(2, 4, 6, 5)
    (expected,) = answer(model, x)

    assert canonical(model) > 0

    assert opset_of(model) == 13
    onnx.checker.check_model(model, full_check=True)
    (got,) = answer(model, x)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("body", "opset", "reason"),
    [
        (
            "y = BatchNormalization<spatial=0>(x, a, b, e, f)",
            8,
            "neither of channels nor of pixels",
        ),
        ("y, m, v, s, t = BatchNormalization(x, a, b, c, d)", 9, "training mode"),
        ("y = BatchNormalization(x, a, b, c, d)", 6, "training mode"),
        ("y, mask = Dropout(x)\n z = Cast<to=1>(mask)", 10, "its mask is read"),
        ("y = Tile(x, a, b)", 1, "another operator before opset 6"),
    ],
)
def test_what_opset_13_can_not_say_stays_as_it_is(body: str, opset: int, reason: str) -> None:
    arrays = {**PER_CHANNEL, "e": PER_PIXEL["c"], "f": PER_PIXEL["d"]}
    model = model_of(f"g ({IMAGE}) => (float y) {{ {body} }}", opset, arrays)
    before = model.SerializeToString()
    assert canonical(model) == 0
    assert model.SerializeToString() == before
    assert reason in reason_to_stay(model)


def test_statistics_of_channels_are_of_channels_whatever_spatial_says(tmp_path: Path) -> None:
    text = (
        f"g ({IMAGE}) => (float[2,4,6,5] y) {{ y = BatchNormalization<spatial=0>(x, a, b, c, d) }}"
    )
    onnx.save(model_of(text, 8, PER_CHANNEL), tmp_path / "net.onnx")
    read = read_file(tmp_path / "net.onnx")
    assert not read.as_it_was, "ONNX Runtime refuses it where no convolution is in front"
    x = noise(2, 4, 6, 5)
    meant = model_of(text.replace("spatial=0", "spatial=1"), 8, PER_CHANNEL)
    np.testing.assert_allclose(answer(read.model, x)[0], answer(meant, x)[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("ImageScaler", {"scale": 0.5, "bias": [0.1, 0.2, 0.3, 0.4]}),
        ("Affine", {"alpha": 2.0, "beta": -1.0}),
        ("Scale", {"scale": 0.25}),
    ],
)
def test_an_experimental_operator_is_what_it_computes(
    operator: str, attributes: dict[str, Any], tmp_path: Path
) -> None:
    model = model_of(f"g ({IMAGE}) => (float[2,4,6,5] y) {{ y = Relu(x) }}", 8, {})
    model.graph.node.insert(0, helper.make_node(operator, ["x"], ["a"], **attributes))
    model.graph.node[1].input[0] = "a"
    onnx.save(model, tmp_path / "net.onnx")
    x = noise(2, 4, 6, 5)
    np.testing.assert_allclose(
        answer(read_model(tmp_path / "net.onnx"), x)[0], answer(model, x)[0], rtol=1e-6
    )


@pytest.mark.parametrize("opset", [3, 4, 5, 6])
def test_shapes_are_known_behind_operators_that_broadcast_along_an_axis(opset: int) -> None:
    reshape = "Reshape<shape=[0,-1]>(p)" if opset < 5 else "Reshape(p, s)"
    text = f"""g ({IMAGE}) => (float y) {{
        c = Add<axis=1, broadcast=1>(x, a)
        r = Relu(c)
        m = Mul<axis=1, broadcast=1>(r, b)
        q = PRelu(m, slope)
        p = Sum(q, m)
        f = {reshape}
        g = MatMul(f, w)
        y = Add<broadcast=1>(g, v)
    }}"""
    arrays = {"a": noise(4), "b": noise(4, seed=1), "slope": noise(4, seed=2)}
    arrays |= {"w": noise(120, 3), "v": noise(3, seed=4)}
    if opset >= 5:
        arrays["s"] = np.array([0, -1])
    model = model_of(text, opset, arrays)
    assert canonical(model) > 0
    assert (opset_of(model), reason_to_stay(model)) == (13, "")

    x = noise(2, 4, 6, 5)
    a, b, slope = (arrays[name].reshape(-1, 1, 1) for name in ("a", "b", "slope"))
    scaled = np.maximum(x + a, 0) * b
    summed = np.where(scaled < 0, scaled * slope, scaled) + scaled
    expected = summed.reshape(2, -1) @ arrays["w"] + arrays["v"]
    np.testing.assert_allclose(answer(model, x)[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "attributes",
    [{"border": [1, 2, 0, 1]}, {"border": [1, 2, 0, 0]}, {"border": [2, 1, 0, 0], "scale": [3, 2]}],
)
def test_a_crop_is_a_slice(attributes: dict[str, Any], tmp_path: Path) -> None:
    model = model_of(f"g ({IMAGE}) => (float y) {{ y = Relu(x) }}", 8, {})
    model.graph.node.insert(0, helper.make_node("Crop", ["x"], ["a"], **attributes))
    model.graph.node[1].input[0] = "a"
    model.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(model, tmp_path / "net.onnx")
    x = noise(2, 4, 6, 5)
    read = read_model(tmp_path / "net.onnx")
    assert opset_of(read) == 13
    np.testing.assert_array_equal(answer(read, x)[0], answer(model, x)[0])


def test_an_operator_that_opset_13_lacks_is_named() -> None:
    model = model_of(f"g ({IMAGE}) => (float y) {{ y = Relu(x) }}", 8, {})
    model.graph.node[0].op_type = "ParametricSoftplus"
    assert "opset 13 has no such operator" in reason_to_stay(model)


@pytest.mark.parametrize("opset", [1, 6, 7])
@pytest.mark.parametrize(
    ("operator", "attributes", "factor", "summand"),
    [
        ("ImageScaler", {"scale": 0.5, "bias": [0.1, 0.2, 0.3, 0.4]}, 0.5, [0.1, 0.2, 0.3, 0.4]),
        ("Affine", {"alpha": 2.0, "beta": -1.0}, 2.0, [-1.0]),
    ],
)
def test_an_experimental_operator_is_read_in_files_that_list_their_weights(
    operator: str,
    attributes: dict[str, Any],
    factor: float,
    summand: list[float],
    opset: int,
    tmp_path: Path,
) -> None:
    model = model_of(f"g ({IMAGE}) => (float[2,3,6,5] y) {{ y = Conv(x, w) }}", opset, {})
    weight = noise(3, 4, 1, 1)
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    model.graph.input.append(
        helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, (3, 4, 1, 1))
    )
    result = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, (2, 3, 6, 5))
    model.graph.output[0].CopyFrom(result)
    model.graph.node.insert(0, helper.make_node(operator, ["x"], ["a"], **attributes))
    model.graph.node[1].input[0] = "a"
    model.ir_version = 3
    onnx.save(model, tmp_path / "net.onnx")
    read = read_model(tmp_path / "net.onnx")
    assert opset_of(read) == 13
    x = noise(2, 4, 6, 5)
    scaled = x * factor + np.array(summand, np.float32).reshape(-1, 1, 1)
    expected = np.einsum("nchw,oc->nohw", scaled, weight[:, :, 0, 0])
    np.testing.assert_allclose(answer(read, x)[0], expected, rtol=1e-4, atol=1e-4)


def test_what_stops_an_old_graph_is_named_and_not_the_first_node(tmp_path: Path) -> None:
    text = f"g ({IMAGE}) => (float[2,4,6,5] y) {{ a = Relu(x)\n y = Dropout(a) }}"
    onnx.save(model_of(text, 6, {}), tmp_path / "net.onnx")
    with pytest.raises(RunnerError, match=r"in opset 6 and can't be .*Dropout node 'y'"):
        open_session(tmp_path / "net.onnx", SessionSpec())
