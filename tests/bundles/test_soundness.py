"""Answers that a bundle must not record, and self-tests that could not fail."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

import resnet_deploy as rd
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.bundles.contract import contract_of
from resnet_deploy.bundles.golden import answers, golden_cases
from resnet_deploy.bundles.runtime import Runtime
from resnet_deploy.bundles.soundness import check_answers
from resnet_deploy.errors import RunnerError, SpecError
from resnet_deploy.spec import BundleRuntime

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
ORT = Runtime(kind=BundleRuntime.ORT, min_version="1.12", made_with="1.31")
OPENVINO = replace(ORT, kind=BundleRuntime.OPENVINO)


@pytest.mark.parametrize(
    ("file", "runtime", "bound", "noise", "words"),
    [
        ("resnet8.int8.onnx", ORT, 1e-4, 0.01, None),
        ("resnet8.int8.onnx", ORT, 1e-4, 0.3, r"computed one by one, .* CPU without VNNI saturate"),
        ("resnet8.onnx", OPENVINO, 5e-5, 1e-6, None),
        ("resnet8.onnx", OPENVINO, 5e-5, 0.01, r"off by 0\.\d+ of the largest .* --runtime ort"),
        ("resnet8.onnx", OPENVINO, 5e-2, 0.01, None),
        ("resnet8.onnx", OPENVINO, 5e-2, 0.5, r"computed one by one.*take --runtime ort"),
    ],
)
def test_answers_are_held_against_operators_computed_one_by_one(
    tiny_export, file, runtime, bound, noise, words
):
    artifact = load(tiny_export / file)
    cases = golden_cases(contract_of(artifact), None, 0, 0)
    right = answers(artifact, cases)
    spread = np.std([answer.scores for answer in right], axis=0).mean()
    random = np.random.default_rng(0)
    row = [
        replace(
            answer,
            outputs=tuple(
                (values + noise * spread * random.standard_normal(values.shape)).astype("f4")
                for values in answer.outputs
            ),
        )
        for answer in right
    ]
    if words is None:
        check_answers(artifact, cases, [runtime], [row], [bound])
        return
    with pytest.raises(RunnerError, match=words):
        check_answers(artifact, cases, [runtime], [row], [bound])


@pytest.mark.parametrize("runtime", ["ort", "openvino"])
def test_it_is_said_that_a_net_answers_the_same_to_all_pictures(tiny_export, tmp_path, runtime):
    model = onnx.load(tiny_export / "resnet8.onnx")
    for tensor in model.graph.initializer:
        if tensor.name == "fc.weight":
            zeros = np.zeros(tuple(tensor.dims), np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(zeros, tensor.name))
    onnx.save(model, tmp_path / "dead.onnx")
    report = rd.bundle(tmp_path / "dead.onnx", "cpp", tmp_path / "out", runtime=runtime)
    assert any("answers the same to all 7 golden pictures" in note for note in report.notes)


def test_an_alternative_of_another_network_is_refused(tiny_export, tmp_path):
    model = onnx.load(tiny_export / "resnet8.int8.onnx")
    for tensor in model.graph.initializer:
        if tensor.name == "fc.weight.quantized":
            turned = onnx.numpy_helper.to_array(tensor)[::-1].copy()
            tensor.CopyFrom(onnx.numpy_helper.from_array(turned, tensor.name))
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(SpecError, match=r"other\.onnx answers something else than .*same network"):
        rd.bundle(
            tiny_export / "resnet8.onnx",
            "web",
            tmp_path / "out",
            alternative=tmp_path / "other.onnx",
        )


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other CPUs do not saturate")
def test_saturated_answers_are_not_recorded(tmp_path):
    command = ["--target", "cpp", "--runtime", "openvino", "-o", "out"]
    model = tmp_path / "resnet20.int8.onnx"
    overflowing = rd.quantize(ARTIFACTS / "resnet20-cifar10.onnx", allow_overflow=True)
    rd.save(overflowing, model)
    run = subprocess.run(
        [sys.executable, "-m", "resnet_deploy", "bundle", str(model), *command],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"},
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert run.returncode == 2, run.stderr
    assert "An x86 CPU without VNNI saturates" in run.stderr
    assert not (tmp_path / "out").exists()
