from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from resnet_deploy.artifact import load
from resnet_deploy.errors import ArtifactError, MissingDependencyError, RunnerError, SpecError
from resnet_deploy.runtime.base import infer_any
from resnet_deploy.runtime.ort_runner import OrtRunner
from resnet_deploy.runtime.registry import RUNNERS, open_runner
from resnet_deploy.runtime.torch_runner import TorchRunner
from resnet_deploy.spec import Optimization, SessionSpec
from tests.runtime.graphs import cnn, random

ONE = SessionSpec(threads=1)


@pytest.mark.parametrize("name", RUNNERS)
def test_every_runner_opens_and_describes_its_input(name, tmp_path: Path):
    path = cnn(tmp_path / "m.onnx")
    with closing(open_runner(name, path, ONE)) as runner:
        assert runner.name == name
        assert runner.input == load(path).input
        assert runner.load_ns > 0
        assert runner.infer(random(3, 3, 8, 8)).shape == (3, 5)


def test_an_unknown_runner_lists_the_known_ones(tmp_path: Path):
    with pytest.raises(SpecError, match=r"no runner 'tvm'.*torch, ort"):
        open_runner("tvm", tmp_path / "m.onnx", ONE)


@pytest.mark.parametrize("name", RUNNERS)
def test_a_fixed_batch_runs_in_pieces(name, tmp_path: Path):
    images = random(5, 3, 8, 8)
    with (
        closing(open_runner(name, cnn(tmp_path / "fixed.onnx", batch=2), ONE)) as fixed,
        closing(open_runner(name, cnn(tmp_path / "any.onnx"), ONE)) as free,
    ):
        np.testing.assert_allclose(infer_any(fixed, images), infer_any(free, images), rtol=1e-5)
        with pytest.raises(RunnerError, match="no images"):
            infer_any(free, images[:0])


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


@pytest.mark.parametrize("name", RUNNERS)
def test_errors_are_one_line_that_names_the_file(name, tmp_path: Path):
    path = cnn(tmp_path / "m.onnx")
    with closing(open_runner(name, path, ONE)) as runner:
        with pytest.raises(RunnerError, match=r"m\.onnx on an input of \[1, 4, 8, 8\]") as caught:
            runner.infer(random(1, 4, 8, 8))
        assert "\n" not in str(caught.value)
        with pytest.raises(RunnerError, match="no tensor 'nope'"):
            runner.trace(random(1, 3, 8, 8), ["nope"])  # type: ignore[attr-defined]
    with pytest.raises(ArtifactError, match="does not exist"):
        open_runner(name, tmp_path / "missing.onnx", ONE)
    (tmp_path / "cut.onnx").write_bytes(path.read_bytes()[:100])
    with pytest.raises(ArtifactError, match="cut short"):
        open_runner(name, tmp_path / "cut.onnx", ONE)


def test_without_torch_the_install_command_is_named(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'resnet-deploy\[export\]'"):
        TorchRunner(cnn(tmp_path / "m.onnx"))


def test_importing_bench_and_all_runners_imports_no_runtime():
    code = (
        "import sys, resnet_deploy.bench, resnet_deploy.runtime.torch_runner, "
        "resnet_deploy.runtime.ort_runner, resnet_deploy.runtime.worker, resnet_deploy.doctor;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'onnxruntime')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
