"""ONNX files: graphs, weights beside them, metadata, and cards inside."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from resnet_deploy.errors import ResnetDeployError
from tests.fuzz.doors import odd_graphs
from tests.fuzz.doors.surface import Surface


def _onnx_files() -> list[bytes]:
    weight = numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1], name="/conv1/Conv"),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    plain = model.SerializeToString()
    model.metadata_props.add(key="names", value="{0: 'a', 1: 'b', 2: 'c', 3: 'd'}")
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", "432")):
        model.graph.initializer[0].external_data.add(key=key, value=value)
    model.graph.initializer[0].ClearField("raw_data")
    return [plain, model.SerializeToString(), _grown().SerializeToString()]


def _grown() -> onnx.ModelProto:
    """Return a graph whose shapes are computed in it."""
    shape = numpy_helper.from_array(np.array([4, 3, 1, 1]), "s")
    fill = numpy_helper.from_array(np.ones(1, np.float32))
    nodes = [
        helper.make_node("ConstantOfShape", ["s"], ["w"], value=fill),
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Shape", ["c"], ["d"]),
        helper.make_node("Resize", ["c", "", "k"], ["u"], mode="nearest"),
        helper.make_node("ReduceMean", ["u"], ["y"], axes=[2, 3], keepdims=0),
    ]
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "k")
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [shape, scales],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def _summarize(path: Path) -> object:
    from resnet_deploy import api
    from resnet_deploy.report import render

    return render(api.summary(path), 100)


def _summarize_outputs(path: Path) -> object:
    """Summarise a file as it is, and with an output that its user names; take its bytes."""
    from resnet_deploy import api
    from resnet_deploy.artifact.model_file import bytes_with_weights

    with contextlib.suppress(ResnetDeployError):
        api.summary(path, output_name="z")
    with contextlib.suppress(ResnetDeployError):
        bytes_with_weights(path)
    return _summarize(path)


def _with_external_data() -> list[bytes]:
    """Return files whose weights lie beside them, said in every way and wrongly."""
    found = []
    for said in (
        {"location": "weights.bin"},
        {"location": "weights.bin", "length": "432", "checksum": "0" * 40},
        {"location": "./weights.bin", "offset": "16"},
        {"location": "weights.bin", "offset": "-1", "length": "x"},
        {"location": "missing.bin"},
        {"location": "../x"},
        {"location": "/etc/hostname"},
        {"location": "."},
        {},
    ):
        model = onnx.ModelProto.FromString(_onnx_files()[0])
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in said.items():
            tensor.external_data.add(key=key, value=value)
        found.append(model.SerializeToString())
    return found


def _carded() -> list[bytes]:
    """Return a file of this program's: a card with a history in its metadata."""
    from resnet_deploy.artifact.card import CARD_KEY
    from tests.support.cards import card, tiny

    model, one = tiny(), card()
    for name, options in (("quantize", {"overflow": "never"}), ("tune", {"runner": "ort"})):
        one = one.with_step(name, options)
    model.metadata_props.add(key=CARD_KEY, value=one.to_json())
    return [model.SerializeToString()]


def _with_metadata() -> list[bytes]:
    """Return files that say in others' words what pictures they take."""
    # It asks at its import which Linux this is: not because a file says so.
    import onnxruntime  # noqa: F401

    found = []
    for said in (
        {
            "Image.BitmapPixelFormat": "Bgr8",
            "Image.NominalPixelRange": "Normalized_0_1",
            "imgsz": "[32, 32]",
            "names": "{0: 'a', 1: 'b', 2: 'c', 3: 'd'}",
        },
        {
            "preprocessor_config": json.dumps(
                {"image_mean": [0.5] * 3, "image_std": [0.2] * 3, "size": 32, "resample": 3}
            ),
            "labels": '["a", "b", "c", "d"]',
        },
        {"mean": "[0.4, 0.4, 0.4]", "std": "0.2", "crop_pct": "0.9", "layout": "NCHW"},
        {
            "author": "Ultralytics",
            "task": "classify",
            "imgsz": "(32, 32)",
            "channels": "3",
            "names": "[a, 'b'",
        },
        {
            "preprocess": '{"size": {"height": 32, "width": 32}, "do_normalize": false}',
            "channel_order": "bgr",
            "interpolation": "3",
            "image_size": "32x32",
        },
        {
            "transforms": '{"size": 36, "crop_size": {"shortest_edge": 32}, "do_center_crop": 1}',
            "Image.BitmapPixelFormat": "Rgba8",
            "Image.ColorSpaceGamma": "Linear",
            "Image.NominalPixelRange": "x",
            "color_mode": "gray",
        },
    ):
        model = onnx.ModelProto.FromString(_onnx_files()[0])
        for key, value in said.items():
            model.metadata_props.add(key=key, value=value)
        found.append(model.SerializeToString())
    return found


def _of_other_tools() -> list[bytes]:
    """Return graphs with functions, a loop of names, sparse weights, two outputs, old operators."""
    from tests.support.graphs import parse

    texts = (
        "g (float[N,3,8,8] x) => (float[N,4] y, float[N,4] z) {"
        " p = GlobalAveragePool(x) f = Flatten(p) y = MatMul(f, w) z = Softmax(y) }",
        "g (float[N,3,8,8] x, float[N,2] extra) => (float[N,3] y) {"
        " p = ReduceMean<axes=[2,3], keepdims=0>(x) y = Identity(p) }",
        "g (double[N,1,8,8] x) => (double[N,4] y) { p = Flatten(x) y = Gemm(p, v) }",
        "g (float[N,3,8,8] x) => (float[N,4] y, float[N,4] z, int64[N] k, float[N,3,8,8] m) {"
        " m = Conv<group=3, strides=[1,1]>(x, c) p = GlobalAveragePool(m) f = Flatten(p)"
        " y = MatMul(f, w) z = MatMul(f, w) k = ArgMax<axis=1, keepdims=0>(y) }",
        "g (uint8[1,8,8,3] x) => (float[1,4] y) {"
        " c = Cast<to=1>(x) t = Transpose<perm=[0,3,1,2]>(c) s = Sub(t, mean) d = Div(s, std)"
        " p = ReduceMean<axes=[2,3], keepdims=0>(d) q = MatMul(p, w) y = Softmax(q) }",
        "g (float16[1,8,8,3] x) => (float[1,3] y) {"
        " c = Cast<to=1>(x) t = Transpose<perm=[0,3,1,2]>(c)"
        " r = ReduceMean<axes=[2,3], keepdims=0>(t) y = Identity(r) }",
    )
    stored = {
        "w": np.ones((3, 4), np.float32),
        "v": np.ones((64, 4), np.float64),
        "c": np.ones((3, 1, 1, 1), np.float32),
        "mean": np.full((3, 1, 1), 128, np.float32),
        "std": np.full((3, 1, 1), 64, np.float32),
    }
    return [
        parse(text, {k: v for k, v in stored.items() if f" {k})" in text}).SerializeToString()
        for text in texts
    ]


SURFACES: Final = (
    Surface(
        name="onnx",
        file="a.onnx",
        beside=lambda: {"weights.bin": bytes(432)},
        seeds=lambda: [
            *(*_onnx_files(), *_of_other_tools(), *_with_external_data()),
            *(*odd_graphs.carded(), *odd_graphs.layers(), *odd_graphs.external()),
            *(*odd_graphs.inputs(), *odd_graphs.stages(), *odd_graphs.faults()),
        ],
        read=_summarize_outputs,
        modules=(
            *("artifact/model_file.py", "artifact/onnx_file.py", "artifact/external_data.py"),
            *("artifact/well_formed.py", "summarize.py"),
        ),
        beyond=(
            *("save", "make", "write", "with_card", "check_replaceable", "load_beside", "_stamped"),
            *("_in_scratch", "summarize_spec", "_paper_flops"),
        ),
    ),
    Surface(
        name="onnx-metadata",
        file="a.onnx",
        seeds=lambda: [
            *(*_carded(), *odd_graphs.carded(), *_with_metadata(), *odd_graphs.told()),
            *(*odd_graphs.inputs(), *odd_graphs.layers()),
        ],
        read=_summarize,
        modules=(
            *("artifact/metadata.py", "artifact/picture_metadata.py", "artifact/describe.py"),
            "artifact/foreign_contract.py",
        ),
    ),
)
