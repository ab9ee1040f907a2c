"""A layer has one name, whichever verb speaks of it and whoever wrote the file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from torch import nn

from resnet_deploy.graph.layers import layers_of
from resnet_deploy.graph.module_names import MODULE_KEY
from resnet_deploy.interpreter.module import module_from_onnx
from resnet_deploy.measure.operator_times import profile_operators
from resnet_deploy.quantization.inspection import inspect_int8
from resnet_deploy.quantization.static import QuantizedNet, quantize_static
from resnet_deploy.sensitivity import int8_layers
from resnet_deploy.spec import QuantSpec, SessionSpec
from resnet_deploy.summarize import summarize_artifact
from tests.support.graphs import noise, parse

NET = """
g (float[N,3,16,16] x) => (float[N,10] logits) {
  t0 = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w0, b0)
  t1 = Relu(t0)
  t2 = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(t1)
  t3 = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(t2, w1, b1)
  t4 = Relu(t3)
  t5 = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(t4, w2, b2)
  t6 = Add(t5, t2)
  t7 = Relu(t6)
  t8 = GlobalAveragePool(t7)
  t9 = Flatten(t8)
  logits = Gemm<transB=1>(t9, w3, b3)
}
"""
MODULES = (
    "conv1",
    "relu",
    "maxpool",
    "layer1.0.conv1",
    "layer1.0.relu",
    "layer1.0.conv2",
    "layer1.0",
    "layer1.0.relu",
    "avgpool",
    "",
    "fc",
)
WEIGHTED = ["conv1", "layer1.0.conv1", "layer1.0.conv2", "fc"]


def net() -> onnx.ModelProto:
    weights: dict[str, np.ndarray] = {f"w{i}": noise(16, 16, 3, 3, seed=i) / 12 for i in (1, 2)}
    weights |= {"w0": noise(16, 3, 3, 3) / 5, "w3": noise(10, 16, seed=4)}
    biases = {f"b{i}": noise(10 if i == 3 else 16, seed=5 + i) for i in range(4)}
    model: onnx.ModelProto = parse(NET, weights | biases)
    return model


def of_this_tool() -> onnx.ModelProto:
    model = net()
    for node, module in zip(model.graph.node, MODULES, strict=True):
        node.name = module or "flatten"
        node.metadata_props.add(key=MODULE_KEY, value=module)
    model.graph.node[7].name += "_1"
    return model


def of_torchscript() -> onnx.ModelProto:
    """``/layer1/layer1.0/conv1/Conv``; each module's path is written as often as it is nested."""
    model = net()
    for node, module in zip(model.graph.node, MODULES, strict=True):
        parts = module.split(".") if module else []
        if parts[:1] == ["layer1"]:
            parts[1] = "layer1.0"
        node.name = "/" + "/".join([*parts, node.op_type])
    model.graph.node[7].name += "_1"
    return model


def of_dynamo() -> onnx.ModelProto:
    model = net()
    for number, (node, module) in enumerate(zip(model.graph.node, MODULES, strict=True)):
        node.name = f"node_{number}"
        parts = module.split(".") if module else []
        paths = [".".join(parts[:end]) for end in range(len(parts) + 1)]
        scopes = str([*paths, f"call_{number}"])
        node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=scopes)
    return model


MAKERS = (of_this_tool, of_torchscript, of_dynamo)


def quantized(model: onnx.ModelProto, exclude: tuple[str, ...] = ()) -> QuantizedNet:
    return quantize_static(model, QuantSpec(exclude=exclude), [noise(8, 3, 16, 16)], images=8)


def saved(model: onnx.ModelProto, folder: Path, name: str = "net.onnx") -> Path:
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def profiled(path: Path) -> list[str]:
    operators = profile_operators(path, noise(1, 3, 16, 16), SessionSpec(threads=1), seconds=0.01)
    return [operator.module for operator in operators if re.search("Conv|Gemm", operator.kernel)]


def interpreted(model: onnx.ModelProto) -> set[str]:
    modules = module_from_onnx(model).named_modules()
    return {path for path, child in modules if isinstance(child, nn.Conv2d | nn.Linear)}


@pytest.mark.parametrize("make", MAKERS)
def test_every_verb_gives_a_layer_the_same_name(
    make: Callable[[], onnx.ModelProto], tmp_path: Path
) -> None:
    model = make()
    path = saved(model, tmp_path)
    int8 = quantized(model)
    int8_path = saved(int8.write(), tmp_path, "int8.onnx")

    assert list(int8_layers(int8, ())) == WEIGHTED
    assert profiled(path) == WEIGHTED
    assert profiled(int8_path) == WEIGHTED
    for graph in (model, int8.write()):
        layers = [layer.name for layer in layers_of(graph)]
        assert layers == ["conv1", "maxpool", *WEIGHTED[1:3], "layer1.0", "avgpool"]
    assert interpreted(model) == set(WEIGHTED)
    for file in (path, int8_path):
        stages = [stage.name for stage in summarize_artifact(file).stages]
        assert stages == ["conv1", "maxpool", "layer1", "avgpool", "fc"]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("layer", WEIGHTED[:3])
def test_what_stays_in_float_goes_by_it_too(
    make: Callable[[], onnx.ModelProto], layer: str, tmp_path: Path
) -> None:
    int8 = quantized(make(), (layer,)).write((layer,))
    inspection = inspect_int8(saved(int8, tmp_path), (layer,))
    assert layer in {
        operator.layer for operator in inspection.float_ops if "Conv" in operator.op_type
    }
    assert all(operator.requested for operator in inspection.float_ops)


def test_without_any_names_a_layer_is_its_operator(tmp_path: Path) -> None:
    model = net()
    path = saved(model, tmp_path)
    int8 = quantized(model)

    assert profiled(path) == ["conv", "conv", "conv", "gemm"]
    assert profiled(saved(int8.write(), tmp_path, "int8.onnx")) == ["conv", "conv", "conv", "gemm"]
    assert list(int8_layers(int8, ())) == ["conv", "gemm"]
    assert interpreted(model) == {"conv", "conv_2", "conv_3", "gemm"}
    stages = [stage.name for stage in summarize_artifact(path).stages]
    assert stages == ["Conv", "MaxPool", "GlobalAveragePool", "Gemm"]
    assert [layer.name for layer in layers_of(model)] == [
        *("conv", "maxpool", "t4", "t5", "add", "globalaveragepool")
    ]


def test_a_file_of_export(tiny_export: Path) -> None:
    fp32 = tiny_export / "resnet8.onnx"
    model = onnx.load(fp32)
    images = np.zeros((1, 3, 32, 32), np.float32)
    operators = profile_operators(fp32, images, SessionSpec(threads=1), seconds=0.01)
    profiled = {
        operator.module for operator in operators if re.search("Conv|Gemm", operator.kernel)
    }
    assert profiled == interpreted(model)
    assert profiled >= {"conv1", "layer1.0.conv1", "layer3.0.conv2", "fc"}
    assert profiled - {"fc"} <= {layer.name for layer in layers_of(model)}
