"""A residual stream in float between int8 convolutions: what ONNX Runtime runs of it, how close."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from resnet_deploy.arrays import Array
from resnet_deploy.errors import SpecError
from resnet_deploy.graph.layers import layers_of
from resnet_deploy.quantization.inspection import inspect_int8
from resnet_deploy.quantization.inspection_openvino import inspect_openvino
from resnet_deploy.quantization.static import QuantizedNet, quantize_static
from resnet_deploy.results import Inspection
from resnet_deploy.runners.openvino_graph import compiled_nodes
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.runners.registry import open_runner
from resnet_deploy.spec import QuantSpec, ResidualStream, Runtime, SessionSpec
from tests.support.graphs import noise, parse, run

SPREAD = np.geomspace(1, 1 / 16, 16, dtype=np.float32)
"""Of what the channels span: one scale for all of them has few codes for the last."""

TEXT = """
g (float[N, 3, 16, 16] x) => (float[N, 10] y) {
    stem = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x, conv1.weight, b16)
    r = Relu(stem)
    m = MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(r)
    a = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(m, layer1.0.conv1.weight, b16)
    ar = Relu(a)
    c = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(ar, layer1.0.conv2.weight, b16)
    d = Add(c, m)
    dr = Relu(d)
    e = Conv<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>
        (dr, layer2.0.conv1.weight, b32)
    er = Relu(e)
    f = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(er, layer2.0.conv2.weight, b32)
    down = Conv<kernel_shape = [1, 1], strides = [2, 2]>(dr, layer2.0.downsample.0.weight, b32)
    h = Add(f, down)
    hr = Relu(h)
    p = GlobalAveragePool(hr)
    flat = Flatten(p)
    y = Gemm<transB = 1>(flat, fc.weight, fc.bias)
}
"""
POOL = "m = MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(r)"
SMALL = TEXT.replace(POOL, "").replace("(m, layer1", "(r, layer1").replace("Add(c, m)", "Add(c, r)")
"""As nets for small pictures are: nothing between the first convolution and the stream."""

WEIGHTS = {
    "conv1.weight": noise(16, 3, 3, 3) / 5 * SPREAD[:, None, None, None],
    "layer1.0.conv1.weight": noise(16, 16, 3, 3, seed=1) / 4 / SPREAD[:, None, None] / 16,
    "layer1.0.conv2.weight": noise(16, 16, 3, 3, seed=2) / 12 * SPREAD[:, None, None, None],
    "layer2.0.conv1.weight": noise(32, 16, 3, 3, seed=3) / 4 / SPREAD[:, None, None] / 16,
    "layer2.0.conv2.weight": noise(32, 32, 3, 3, seed=4) / 16,
    "layer2.0.downsample.0.weight": noise(32, 16, 1, 1, seed=5) / 4 / SPREAD[:, None, None] / 16,
    "b16": noise(16, seed=6) / 5 * SPREAD,
    "b32": noise(32, seed=7) / 5,
    "fc.weight": noise(10, 32, seed=8),
    "fc.bias": noise(10, seed=9),
}
X = noise(16, 3, 16, 16, seed=10)
SPEC = QuantSpec(residual_stream=ResidualStream.FLOAT32)


def net() -> onnx.ModelProto:
    model: onnx.ModelProto = parse(TEXT, WEIGHTS)
    return model


def quantized(spec: QuantSpec) -> QuantizedNet:
    return quantize_static(net(), spec, [X], images=16, threads=1)


@pytest.fixture(scope="module")
def float_net() -> QuantizedNet:
    return quantized(SPEC)


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.int8.onnx"
    onnx.save(model, path)
    return path


def inspected(model: onnx.ModelProto, folder: Path) -> Inspection:
    return inspect_int8(saved(model, folder))


def traced(model: onnx.ModelProto, tensors: list[str], folder: Path) -> dict[str, Array]:
    with closing(OrtRunner(saved(model, folder), SessionSpec(threads=1))) as runner:
        return runner.trace(X, tensors)


def test_every_convolution_runs_in_int8_and_every_sum_in_float(
    float_net: QuantizedNet, tmp_path: Path
) -> None:
    found = inspected(float_net.write(), tmp_path)

    assert found.passed, found.float_ops
    assert found.op_counts["QLinearConv"] == 6
    assert found.op_counts["Add"] == 2
    assert not {"Conv", "FusedConv", "QLinearAdd"} & set(found.op_counts)
    assert {op.layer for op in found.float_ops} == {"the residual stream"}


def test_factors_of_channels_change_nothing_in_fp32_and_bring_accuracy(
    float_net: QuantizedNet,
) -> None:
    exact = run(net(), X)

    assert np.abs(run(float_net.prepared, X) - exact).max() < 1e-5 * np.abs(exact).max()
    noises = [
        np.square(run(made.write(), X) - exact).mean()
        for made in (quantized(QuantSpec()), float_net)
    ]
    assert noises[1] < noises[0] / 4


def test_a_convolution_beside_the_stream_that_fell_back_is_named(
    float_net: QuantizedNet, tmp_path: Path
) -> None:
    model = float_net.write()
    scale = next(
        tensor
        for tensor in model.graph.initializer
        if tensor.name.endswith("bias.scale") and "layer1.0.conv2" in tensor.name
    )
    scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) * 2, scale.name))

    found = inspected(model, tmp_path)

    assert not found.passed
    fell_back = [op for op in found.float_ops if not op.accepted]
    assert {op.layer for op in fell_back if "Conv" in op.op_type} == {"layer1.0.conv2"}


@pytest.mark.parametrize("runtime", Runtime)
def test_the_first_tensor_and_the_last_vector_have_more_than_256_levels(
    runtime: Runtime, tmp_path: Path
) -> None:
    if runtime is Runtime.OPENVINO:
        pytest.importorskip("openvino")
    model, exact = parse(SMALL, WEIGHTS), run(parse(SMALL, WEIGHTS), X)
    spec = replace(SPEC, runtime=runtime)
    made = quantize_static(model, spec, [X], images=16, threads=1)
    path = saved(made.write(), tmp_path)

    assert np.abs(run(made.prepared, X) - exact).max() < 1e-5 * np.abs(exact).max()
    layers = {layer.name: layer for layer in layers_of(made.write())}
    if runtime is Runtime.ORT:
        found = inspect_int8(path)
        assert "FusedConv" not in found.op_counts
        values = layers["conv1"].value(traced(made.write(), [layers["conv1"].observed], tmp_path))
        assert len(np.unique(values[:, 0])) > 256
    else:
        found = inspect_openvino(path)
        assert found.op_counts["int8 Convolution"] == 6
        assert found.op_counts["int8 FullyConnected"] == 1
    assert found.passed, found.float_ops


def test_without_sums_there_is_nothing_to_keep_in_float() -> None:
    plain = parse(TEXT.replace("Add(c, m)", "Relu(c)").replace("Add(f, down)", "Relu(f)"), WEIGHTS)
    with pytest.raises(SpecError, match="no residual sums"):
        quantize_static(plain, SPEC, [X], images=16, threads=1)


def test_trained_ranges_are_of_a_stream_in_u8() -> None:
    with pytest.raises(SpecError, match="--residual-stream float32 has other scales"):
        quantize_static(net(), SPEC, [X], images=16, trained={"r": (0.0, 1.0)})


OPENVINO = QuantSpec(residual_stream=ResidualStream.FLOAT32, runtime=Runtime.OPENVINO)


def test_openvino_multiplies_in_int8_and_rounds_nothing_that_is_added(
    float_net: QuantizedNet, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    made, exact = quantized(OPENVINO), run(net(), X)
    path = saved(made.write(), tmp_path)

    found = inspect_openvino(path)
    with closing(open_runner("openvino", path, SessionSpec(threads=1))) as runner:
        there = runner.infer(X)

    assert found.passed, found.float_ops
    assert found.op_counts["int8 Convolution"] == 6
    here, on_onnxruntime = (np.square(run(m.write(), X) - exact).mean() for m in (made, float_net))
    assert np.square(there - exact).mean() < on_onnxruntime
    assert here < on_onnxruntime  # ONNX Runtime runs the same file, its sums' inputs in float


def test_openvino_adds_the_stream_as_its_convolution_writes(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    made, exact = quantized(OPENVINO), run(net(), X)
    model = made.write()
    path = saved(model, tmp_path)

    assert np.abs(run(made.prepared, X) - exact).max() < 1e-5 * np.abs(exact).max()
    producers = {name: node for node in model.graph.node for name in node.output}
    sums = {node.name: node for node in model.graph.node if node.op_type == "Add"}
    behind = {name: [producers[i].op_type for i in node.input] for name, node in sums.items()}
    # The first block adds a u8 result, which would have to be written in float to be added to.
    assert sorted(map(sorted, behind.values())) == [["Conv", "DequantizeLinear"], ["Conv", "Mul"]]
    (fused,) = (name for name, kinds in behind.items() if "DequantizeLinear" in kinds)
    (where,) = (node for node in compiled_nodes(path, 1) if fused in node.layers.split(","))
    assert where.operator == "Convolution"
    assert where.precisions == "u8,i8,f32,f32 -> f32"


def test_a_pair_of_sixteen_bits_changes_nothing_that_counts(tmp_path: Path) -> None:
    made = quantized(OPENVINO)
    with_pair, without = made.write(), made.write()
    for node in without.graph.node:
        if node.op_type == "DequantizeLinear" and "whole" in node.output[0]:
            (quantize,) = (one for one in without.graph.node if node.input[0] in one.output)
            half, two = quantize.input[0], f"{node.name}.two"
            without.graph.initializer.append(numpy_helper.from_array(np.array(2, np.float32), two))
            node.CopyFrom(onnx.helper.make_node("Mul", [half, two], list(node.output)))

    exact = run(without, X)
    assert 0 < np.abs(run(with_pair, X) - exact).max() < 1e-3 * np.abs(exact).max()


def test_openvino_would_say_so_of_a_layer_in_float(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    path = saved(quantized(OPENVINO).write(("layer1.0.conv1",)), tmp_path)

    (left,) = inspect_openvino(path).float_ops
    assert (left.layer, left.requested) == ("layer1.0.conv1", False)
    assert inspect_openvino(path, ("layer1.*",)).passed


def test_a_runtime_that_changes_nothing_is_refused() -> None:
    with pytest.raises(SpecError, match="add --residual-stream float32"):
        QuantSpec(runtime=Runtime.OPENVINO)


@pytest.mark.parametrize("runtime", Runtime)
def test_layers_are_compared_without_their_factors(runtime: Runtime, tmp_path: Path) -> None:
    model = quantized(replace(SPEC, runtime=runtime)).write()
    theirs = {layer.name: layer for layer in layers_of(net())}
    layers = {layer.name: layer for layer in layers_of(model) if layer.name in theirs}

    assert {"layer1.0.conv1", "layer1.0.conv2", "layer2.0.conv2"} <= set(layers)
    observed = traced(model, [layer.observed for layer in layers.values()], tmp_path)
    exact = traced(net(), [theirs[name].observed for name in layers], tmp_path)
    for name, layer in layers.items():
        right = exact[theirs[name].observed]
        assert np.abs(layer.value(observed) - right).max() < 0.1 * np.abs(right).max(), name
