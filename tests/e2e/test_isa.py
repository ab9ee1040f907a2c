"""The real kernels of other CPUs, under QEMU: the tools are fetched once and kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from resnet_deploy.errors import MissingDependencyError, SpecError
from resnet_deploy.isa import emulated
from resnet_deploy.isa.emulated import emulate
from resnet_deploy.isa.instruction_sets import ISAS, is_native
from resnet_deploy.isa.tools import fetch_tools
from resnet_deploy.runners.ort_runner import OrtRunner
from tests.support.cli import run

CHANNELS = 16


@pytest.fixture(scope="session")
def isa_tools() -> None:
    """Emulators in the user's cache; skipped only where they can't be fetched."""
    try:
        fetch_tools()
    except (MissingDependencyError, SpecError) as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def saturating(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 1x1 convolution whose pairs of products don't fit 16 bits: 2 * 255 * 127 = 64770."""
    weight = np.full((4, CHANNELS, 1, 1), 127, np.int8)
    weight[1] = 1
    weight[2, ::2], weight[2, 1::2] = 100, -100
    weight[3] = -127
    constants = {
        "scale": np.float32(1),
        "zero": np.uint8(0),
        "w": weight,
        "w_scale": np.float32(1),
        "w_zero": np.int8(0),
        "y_scale": np.float32(2**12),
        "y_zero": np.uint8(128),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node(
            "QLinearConv",
            ["q", "scale", "zero", "w", "w_scale", "w_zero", "y_scale", "y_zero"],
            ["c"],
        ),
        helper.make_node("DequantizeLinear", ["c", "y_scale", "y_zero"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "saturating",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", CHANNELS, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4, 4, 4])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    path = tmp_path_factory.mktemp("saturating") / "conv.onnx"
    onnx.save(model, path)
    return path


@pytest.mark.usefixtures("isa_tools")
def test_avx2_saturates_and_the_dot_product_of_arm_does_not(
    saturating: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulated, "isa_folder", lambda: tmp_path)  # run, don't remember
    images = np.full((2, CHANNELS, 4, 4), 255, np.float32)
    sums = 255 * CHANNELS * np.array([127, 1, 0, -127])
    exact = np.clip(np.rint(sums / 2**12), -128, 127) * 2**12
    exact = np.broadcast_to(exact.astype(np.float32)[None, :, None, None], (2, 4, 4, 4))
    arm64 = emulate(ISAS["arm64"], saturating, images, batch_size=2)
    assert not arm64.cached
    assert np.array_equal(arm64.logits, exact)
    avx2 = emulate(ISAS["x86-avx2"], saturating, images, batch_size=2)
    # Each pair of products stops at 32767 or -32768.
    saturated = np.rint(CHANNELS // 2 * np.array([32767, 510, 0, -32768]) / 2**12) * 2**12
    assert np.array_equal(avx2.logits[:, :, 0, 0], np.broadcast_to(saturated, (2, 4)))
    if is_native(ISAS["x86-vnni"]):
        assert np.array_equal(OrtRunner(saturating).infer(images), exact)


@pytest.mark.slow
@pytest.mark.usefixtures("isa_tools")
def test_a_trained_net_on_arm64_and_avx2(
    shared_data: Path, cifar10_test: Path, tmp_path: Path
) -> None:
    checkpoint = shared_data / "cifar10/checkpoints/resnet20-12fca82f.th"
    given = ("--calibration", cifar10_test, "--no-witness")
    done = run("export", "--weights", checkpoint, *given, "-o", tmp_path)
    assert done.exit_code == 0, done.stderr
    int8, found = tmp_path / "resnet20.int8.onnx", tmp_path / "isa.json"
    options = ("--data", cifar10_test, "--samples", 60, "--json", found)
    done = run("verify", int8, "--isa", "x86-avx2,arm64", *options)
    assert done.exit_code == 0, done.stderr
    report = json.loads(found.read_text())
    avx2, arm64 = report["runs"]
    assert (avx2["isa"], arm64["isa"]) == ("x86-avx2", "arm64")
    assert report["proven"] == ["x86-avx2", "arm64"]
    for emulation in (avx2, arm64):
        assert emulation["agreement"] == 1
        assert emulation["bit_identical"]
    assert arm64["reference_agreement"] > 0.9
