"""Parts of a net that stay float: where they end, and that the rest is int8 as before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from resnet_deploy.errors import UnsupportedGraphError
from resnet_deploy.quantization.float_stages import fp32_stages, with_float
from resnet_deploy.quantization.inspection import inspect_int8
from resnet_deploy.quantization.stages import Stage
from resnet_deploy.quantization.static import quantize_static
from resnet_deploy.spec import FirstConv, QuantSpec
from tests.support.graphs import noise, parse, run

TEXT = """
g (float[N, 3, 32, 32] x) => (float[N, 10] y) {
    stem = Conv<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(x, stem.weight)
    swish = HardSwish(stem)
    wide = Conv<kernel_shape = [1, 1]>(swish, wide.weight)
    relu = Relu(wide)
    down = Conv<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(relu, down.weight)
    branch = Conv<kernel_shape = [1, 1]>(down, branch.weight)
    sum = Add(branch, down)
    act = Relu(sum)
    small = Conv<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(act, small.weight)
    last = HardSwish(small)
    pool = GlobalAveragePool(last)
    flat = Flatten(pool)
    y = Gemm<transB = 1>(flat, fc.weight, fc.bias)
}
"""
WEIGHTS = {
    "stem.weight": noise(16, 3, 3, 3, seed=1) / 4,
    "wide.weight": noise(32, 16, 1, 1, seed=2) / 4,
    "down.weight": noise(16, 32, 3, 3, seed=3) / 12,
    "branch.weight": noise(16, 16, 1, 1, seed=4) / 4,
    "small.weight": noise(32, 16, 3, 3, seed=5) / 12,
    "fc.weight": noise(10, 32, seed=6) / 6,
    "fc.bias": noise(10, seed=7),
}
X = noise(4, 3, 32, 32, seed=8)


def net() -> onnx.ModelProto:
    model: onnx.ModelProto = parse(TEXT, WEIGHTS)
    return model


def test_a_stage_ends_with_the_smallest_tensor_of_its_size() -> None:
    stages = fp32_stages(net())
    assert [str(stage) for stage in stages] == [
        "stem to hardswish",
        "wide to relu",
        "small to fc",
    ]
    assert [len(stage.nodes) for stage in stages] == [2, 6, 5]


@pytest.mark.parametrize("chosen", [(0,), (1,), (2,), (0, 1), (0, 2)])
def test_some_stages_in_float(chosen: tuple[int, ...], tmp_path: Path) -> None:
    model, stages = net(), fp32_stages(net())
    whole = quantize_static(net(), QuantSpec(), [X], images=4, threads=1)
    in_float = {node for number in chosen for node in stages[number].nodes}
    mixed = with_float(whole, net(), in_float, preprocess=None, first_conv=FirstConv.AUTO).write()
    onnx.save(mixed, tmp_path / "mixed.onnx")

    inspection = inspect_int8(tmp_path / "mixed.onnx")
    assert inspection.passed
    assert inspection.float_ops
    assert all(op.requested for op in inspection.float_ops)
    kernels = inspection.op_counts
    convolutions = {"stem", "wide", "down", "branch", "small"}
    gates = {"hardswish", "hardswish_1"}  # a convolution and a Mul each, where they are int8
    assert kernels.get("Conv", 0) + kernels.get("FusedConv", 0) == len(convolutions & in_float)
    assert kernels["QLinearConv"] == len((convolutions | gates) - in_float)
    wanted, found = run(model, X), run(mixed, X, optimise=True)
    assert 10 * np.log10((wanted**2).sum() / ((wanted - found) ** 2).sum()) > 30


@pytest.mark.parametrize("chosen", [0, 1, 2])
def test_a_stage_in_float_of_an_equalised_net(chosen: int) -> None:
    model, stage, x = net(), fp32_stages(net())[chosen], noise(32, 3, 32, 32, seed=9)
    whole = quantize_static(net(), QuantSpec(), [x], images=len(x), threads=1)
    assert len(whole.exponents) > 3
    auto = FirstConv.AUTO
    mixed = with_float(whole, net(), stage.nodes, preprocess=None, first_conv=auto).write()
    wanted, found = run(model, X), run(mixed, X, optimise=True)
    assert 10 * np.log10((wanted**2).sum() / ((wanted - found) ** 2).sum()) > 30


def test_what_prepares_the_picture_belongs_to_the_first_stage() -> None:
    text = TEXT.replace("(x, stem.weight)", "(pixels, stem.weight)")
    text = text.replace("{\n", "{\n    scaled = Mul(x, step)\n    pixels = Add(scaled, level)\n", 1)
    model = parse(text, WEIGHTS | {"step": np.float32(2), "level": np.float32(1)})
    assert [str(stage).split()[0] for stage in fp32_stages(model)] == ["mul", "wide", "small"]


def test_the_same_stages_give_the_same_bytes() -> None:
    stages = fp32_stages(net())
    files = []
    for _ in range(2):
        whole = quantize_static(net(), QuantSpec(), [X], images=4, threads=1)
        mixed = with_float(
            whole, net(), stages[0].nodes, preprocess=None, first_conv=FirstConv.AUTO
        )
        files.append(mixed.write().SerializeToString(deterministic=True))
    assert files[0] == files[1]


def test_parameters_of_another_net_are_refused() -> None:
    whole = quantize_static(net(), QuantSpec(), [X], images=4, threads=1)
    other = parse(TEXT, WEIGHTS | {"fc.weight": noise(10, 32, seed=9)})
    with pytest.raises(UnsupportedGraphError, match="is another one"):
        with_float(whole, other, ["stem"], preprocess=None, first_conv=FirstConv.AUTO)


def test_a_stage_is_called_by_what_tells_its_ends_apart() -> None:
    assert str(Stage((), "features.1.block.0.0", "features.1.block.2.0")) == (
        "features.1.block.0 to features.1.block.2"
    )
    assert str(Stage((), "layer1.0.conv1", "layer2.1.add")) == "layer1 to layer2"
    assert str(Stage((), "stem", "stem")) == "stem"
