"""A residual stream in float between int8 convolutions: what ONNX Runtime runs of it, how close."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from resnet_deploy.errors import SpecError
from resnet_deploy.quantization.inspection import inspect_int8
from resnet_deploy.quantization.static import QuantizedNet, quantize_static
from resnet_deploy.spec import QuantSpec, ResidualStream
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


def inspected(model: onnx.ModelProto, folder: Path):
    path = folder / "model.int8.onnx"
    onnx.save(model, path)
    return inspect_int8(path)


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


def test_without_sums_there_is_nothing_to_keep_in_float() -> None:
    plain = parse(TEXT.replace("Add(c, m)", "Relu(c)").replace("Add(f, down)", "Relu(f)"), WEIGHTS)
    with pytest.raises(SpecError, match="no residual sums"):
        quantize_static(plain, SPEC, [X], images=16, threads=1)


def test_trained_ranges_are_of_a_stream_in_u8() -> None:
    with pytest.raises(SpecError, match="--residual-stream float32 has other scales"):
        quantize_static(net(), SPEC, [X], images=16, trained={"r": (0.0, 1.0)})
