from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from resnet_deploy.bundles.ort_format import ORT_FORMAT_OPTIONS, to_ort_format
from resnet_deploy.errors import RunnerError
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import SessionSpec


def test_same_bytes_whatever_the_process_and_the_environment(
    tiny_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tiny_export / "resnet8.int8.onnx"
    made = to_ort_format(source.read_bytes())
    # Each conversion is a process of its own, with a hash map of its own order. The variable is
    # the converter's, and would make another file.
    monkeypatch.setenv("ORT_CONVERT_ONNX_MODELS_TO_ORT_OPTIMIZATION_LEVEL", "disable")
    assert to_ort_format(source.read_bytes()) == made
    assert made.model[4:8] == b"ORTM"
    _check_answers(source, made.model, tmp_path)
    # The operators of the fused graph and of the plain one, with their types.
    lines = made.operators.decode().splitlines()
    assert {line.split(";")[0] for line in lines} == {"ai.onnx", "com.microsoft"}
    assert any(line.startswith("com.microsoft;1;") and "QLinearConv" in line for line in lines)
    assert any('Conv{"inputs": {"0": ["float"]}}' in line for line in lines)


def test_an_fp32_file_answers_the_same(tiny_export: Path, tmp_path: Path) -> None:
    source = tiny_export / "resnet8.onnx"
    _check_answers(source, to_ort_format(source.read_bytes()).model, tmp_path)


def test_what_is_no_model_is_one_line() -> None:
    with pytest.raises(RunnerError, match="ONNX Runtime can't convert the model") as caught:
        to_ort_format(b"nothing")
    assert "\n" not in str(caught.value)


def _check_answers(source: Path, model: bytes, folder: Path) -> None:
    path = folder / "model.ort"
    path.write_bytes(model)
    images = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)
    expected = OrtRunner(source).infer(images)
    found = OrtRunner(path, SessionSpec(options=ORT_FORMAT_OPTIONS)).infer(images)
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
