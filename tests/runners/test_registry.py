from __future__ import annotations

import importlib.util
import sys
import sysconfig
from pathlib import Path

import pytest

from resnet_deploy.dependencies import INSTALL
from resnet_deploy.errors import MissingDependencyError
from resnet_deploy.runners.cpp_compiler import what_is_missing
from resnet_deploy.runners.registry import RUNNERS, open_runner, options_for, runner_status
from resnet_deploy.spec import SessionSpec
from tests.support.runner_graphs import cnn


def test_without_packages_ort_alone_is_installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    found = runner_status()
    assert [status.name for status in found] == list(RUNNERS)
    assert [status.name for status in found if status.installed] == ["ort"]
    problems = {status.name: status.problem for status in found}
    assert problems["torch-compile"] == f"not installed: {INSTALL}"
    assert problems["openvino"] == "not installed: pip install 'resnet-deploy[openvino]'"
    assert problems["ort"] == ""


def test_each_runner_gets_the_options_it_has():
    options = (("session.dynamic_block_base", "4"), ("INFERENCE_PRECISION_HINT", "bf16"))
    assert options_for("ort", options) == options[:1]
    assert options_for("openvino", options) == options[1:]
    assert options_for("openvino-bf16", (*options, ("NUM_STREAMS", "2"))) == (("NUM_STREAMS", "2"),)
    assert options_for("ort-openvino", options) == options
    assert options_for("torch-compile", options) == ()


def test_bfloat16_needs_a_cpu_that_has_it(monkeypatch):
    monkeypatch.setattr("resnet_deploy.runners.registry.isa", lambda: ("avx2", "avx512_vnni"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    (status,) = [found for found in runner_status() if found.name == "openvino-bf16"]
    assert not status.installed
    assert status.problem == "this CPU has no bfloat16 (avx512_bf16 or amx_bf16)"


def test_a_missing_compiler_is_named(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("CXX", str(tmp_path / "no-compiler"))
    (status,) = [found for found in runner_status() if found.name == "torch-compile"]
    assert not status.installed
    assert "apt-get install g++" in status.problem
    with pytest.raises(MissingDependencyError, match=r"torch-compile runner needs .* g\+\+"):
        open_runner("torch-compile", cnn(tmp_path / "m.onnx"), SessionSpec())


def test_missing_headers_are_named(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("CXX", sys.executable)  # anything that exists
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    assert "python3-dev" in str(what_is_missing())
    (tmp_path / "Python.h").touch()
    assert what_is_missing() is None
