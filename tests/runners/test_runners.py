"""What all runners have in common."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.dependencies import INSTALL
from resnet_deploy.errors import ArtifactError, MissingDependencyError, RunnerError, SpecError
from resnet_deploy.runners.base import Runner, infer_any, infer_every
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.runners.registry import RUNNERS, open_runner
from resnet_deploy.runners.torch_runner import TorchRunner
from resnet_deploy.spec import Optimization, SessionSpec
from tests.support.here import RUNNERS_HERE
from tests.support.runner_graphs import cnn, quantized_cnn, random

OPENVINO = "pip install 'resnet-deploy[openvino]'"
ONE = SessionSpec(threads=1)
every_runner = pytest.mark.parametrize("name", RUNNERS_HERE)


def several_outputs(path: Path) -> Path:
    """Write bytes in NHWC -> a map, and the two best of its channels."""
    weight = numpy_helper.from_array(random(4, 3, 3, 3) / 255, "w")
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["t"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["f", "w"], ["map"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("ReduceMean", ["map", "axes"], ["mean"], keepdims=0),
        helper.make_node("Softmax", ["mean"], ["p"], axis=-1),
        helper.make_node("TopK", ["p", "k"], ["values", "classes"]),
    ]
    outputs = [
        helper.make_tensor_value_info("map", TensorProto.FLOAT, ["batch", 4, 4, 4]),
        helper.make_tensor_value_info("values", TensorProto.FLOAT, ["batch", 2]),
        helper.make_tensor_value_info("classes", TensorProto.INT64, ["batch", 2]),
    ]
    constants = [
        weight,
        numpy_helper.from_array(np.array([2, 3]), "axes"),
        numpy_helper.from_array(np.array([2]), "k"),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.UINT8, ["batch", 8, 8, 3])
    model = helper.make_model(
        helper.make_graph(nodes, "test", [x], outputs, constants),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=8,
    )
    onnx.save(model, path)
    return path


def assert_close(name: str, found: np.ndarray, right: np.ndarray) -> None:
    """As close as two float32 runtimes are; bfloat16 has 8 bits."""
    share, least = (1e-2, 5e-2) if name == "openvino-bf16" else (1e-5, 1e-5)
    np.testing.assert_allclose(found, right, rtol=share, atol=least)


def infer(name: str, path: Path, batch: np.ndarray) -> np.ndarray:
    with closing(open_runner(name, path, ONE)) as runner:
        return runner.infer(batch)


@every_runner
def test_every_runner_agrees_with_onnxruntime(name, tmp_path: Path):
    path = cnn(tmp_path / "m.onnx")
    with closing(open_runner(name, path, ONE)) as runner:
        assert runner.name == name
        artifact = load(path)
        assert (runner.input, runner.outputs) == (artifact.input, artifact.outputs)
        assert runner.load_ns > 0
        for count in (3, 1):  # a second batch size, too
            images = random(count, 3, 8, 8, seed=count)
            expected = infer("ort", path, images)
            assert_close(name, runner.infer(images), expected)


@every_runner
def test_every_runner_gives_all_outputs_for_bytes(name, tmp_path: Path):
    path = several_outputs(tmp_path / "m.onnx")
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    with (
        closing(OrtRunner(path, ONE)) as ort,
        closing(open_runner(name, path, ONE)) as runner,
    ):
        assert runner.input.dtype == "uint8"
        assert [spec.name for spec in runner.outputs] == ["map", "values", "classes"]
        found, expected = runner.infer_all(images), ort.infer_all(images)
        assert [values.dtype for values in found] == ["float32", "float32", "int64"]
        for values, right in zip(found, expected, strict=True):
            assert_close(name, values, right)
        np.testing.assert_array_equal(runner.infer(images), found[0])
        assert found[0].flags.c_contiguous
        again = runner.infer_all(images[::-1])  # results are not overwritten by the next run
        assert_close(name, found[0], expected[0])
        assert_close(name, again[0][::-1], found[0])


@every_runner
def test_every_runner_takes_an_int8_file(name, tmp_path: Path):
    path = quantized_cnn(tmp_path / "q.onnx")
    images = random(2, 3, 8, 8)
    np.testing.assert_allclose(
        infer(name, path, images), infer("ort", path, images), rtol=1e-3, atol=2e-3
    )


def test_an_unknown_runner_lists_the_known_ones(tmp_path: Path):
    with pytest.raises(SpecError, match=r"no runner 'tvm'.*torch, .*ort, .*openvino"):
        open_runner("tvm", tmp_path / "m.onnx", ONE)


@every_runner
def test_a_fixed_batch_runs_in_pieces(name, tmp_path: Path):
    images = random(5, 3, 8, 8)
    with closing(open_runner(name, cnn(tmp_path / "fixed.onnx", batch=2), ONE)) as fixed:
        expected = infer("ort", cnn(tmp_path / "any.onnx"), images)
        assert_close(name, infer_any(fixed, images), expected)
        (every,) = infer_every(fixed, images)
        assert_close(name, every, expected)
        with pytest.raises(RunnerError, match="no images"):
            infer_any(fixed, images[:0])


@pytest.mark.parametrize("optimization", Optimization)
def test_both_trace_the_same_tensors(optimization, tmp_path: Path):
    path = cnn(tmp_path / "m.onnx")
    images, tensors = random(2, 3, 8, 8), ["c", "r", "y"]
    spec = SessionSpec(threads=1, optimization=optimization)
    with closing(OrtRunner(path, spec)) as ort, closing(TorchRunner(path, spec)) as torch:
        expected, found = ort.trace(images, tensors), torch.trace(images, tensors)
        assert list(found) == tensors
        for tensor in tensors:
            np.testing.assert_allclose(found[tensor], expected[tensor], rtol=1e-5, atol=1e-5)
        assert expected["c"].min() < 0  # before the ReLU
        np.testing.assert_array_equal(ort.infer(images), expected["y"])


@every_runner
def test_errors_are_one_line_that_names_the_file(name, tmp_path: Path):
    path = cnn(tmp_path / "m.onnx")
    with closing(open_runner(name, path, ONE)) as runner:
        before = runner.infer(random(1, 3, 8, 8))
        with pytest.raises(RunnerError, match=r"m\.onnx on an input of \[1, 4, 8, 8\]") as caught:
            runner.infer(random(1, 4, 8, 8))
        assert "\n" not in str(caught.value)
        _assert_no_such_tensor(runner)
        np.testing.assert_array_equal(runner.infer(random(1, 3, 8, 8)), before)  # it goes on
    with pytest.raises(ArtifactError, match="does not exist"):
        open_runner(name, tmp_path / "missing.onnx", ONE)
    (tmp_path / "cut.onnx").write_bytes(path.read_bytes()[:100])
    with pytest.raises(ArtifactError, match="cut short"):
        open_runner(name, tmp_path / "cut.onnx", ONE)


def _assert_no_such_tensor(runner: Runner) -> None:
    if isinstance(runner, OrtRunner | TorchRunner):
        with pytest.raises(RunnerError, match="no tensor 'nope'"):
            runner.trace(random(1, 3, 8, 8), ["nope"])


@pytest.mark.parametrize(
    ("name", "module", "command"),
    [
        ("torch", "torch", INSTALL),
        ("torch-channels-last", "torch", INSTALL),
        ("torch-compile", "torch", INSTALL),
        ("ort-openvino", "onnxruntime_ep_openvino", OPENVINO),
        ("openvino", "openvino", OPENVINO),
    ],
)
def test_without_its_package_the_install_command_is_named(
    name, module, command, tmp_path: Path, monkeypatch
):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=rf"{name} runner .*{re.escape(command)}"):
        open_runner(name, cnn(tmp_path / "m.onnx"), ONE)


def test_importing_bench_and_all_runners_imports_no_runtime():
    modules = ", ".join({target.partition(":")[0] for target in RUNNERS.values()})
    code = (
        f"import sys, resnet_deploy.benchmark, {modules}, "
        "resnet_deploy.measure.child, resnet_deploy.diagnose;"
        "heavy = ('torch', 'onnxruntime', 'openvino', 'onnxruntime_ep_openvino');"
        "sys.exit(any(name in sys.modules for name in heavy))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
