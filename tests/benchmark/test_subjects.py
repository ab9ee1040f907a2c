from __future__ import annotations

from pathlib import Path

import pytest

from resnet_deploy.benchmark import default_subjects, natural_batch_size, open_models
from resnet_deploy.errors import SpecError
from resnet_deploy.runners.cpu import one_cpu_per_core
from resnet_deploy.spec import BenchSpec
from tests.support.runner_graphs import cnn, quantized_cnn


def test_the_default_subjects_of_a_file_with_its_int8_sibling(tmp_path: Path):
    cnn(tmp_path / "net.onnx")
    quantized_cnn(tmp_path / "net.int8.onnx")
    artifacts = open_models([tmp_path / "net.onnx"])
    subjects = default_subjects(artifacts, (), BenchSpec(threads=1))
    assert [(s.label, s.runner, Path(s.model).name) for s in subjects] == [
        ("PyTorch fp32", "torch", "net.onnx"),
        ("ONNX Runtime fp32", "ort", "net.onnx"),
        ("ONNX Runtime int8", "ort", "net.int8.onnx"),
    ]
    assert subjects[0].input_shape == (3, 8, 8)
    only = default_subjects(artifacts, ("ort",), BenchSpec())
    assert [s.label for s in only] == ["ONNX Runtime fp32", "ONNX Runtime int8"]
    assert only[0].threads >= 1


def test_bfloat16_is_for_float_files_and_says_so(tmp_path: Path):
    cnn(tmp_path / "net.onnx")
    quantized_cnn(tmp_path / "net.int8.onnx")
    both = open_models([tmp_path / "net.onnx"])
    found = default_subjects(both, ("openvino", "openvino-bf16"), BenchSpec(threads=1))
    assert [(one.label, one.precision) for one in found] == [
        ("OpenVINO fp32", "fp32"),
        ("OpenVINO int8", "int8"),
        ("OpenVINO bf16", "bf16"),
    ]
    alone = open_models([tmp_path / "net.int8.onnx"])
    (subject,) = default_subjects(alone, ("openvino-bf16",), BenchSpec(threads=1))
    assert (subject.label, subject.precision) == ("OpenVINO int8 in bf16", "int8")


def test_subjects_of_several_files_are_told_apart(tmp_path: Path):
    first, second = cnn(tmp_path / "a.onnx"), cnn(tmp_path / "b.onnx")
    subjects = default_subjects(open_models([first, second, first]), (), BenchSpec())
    assert [s.label for s in subjects] == [
        "PyTorch a",
        "ONNX Runtime a",
        "ONNX Runtime b",
        "ONNX Runtime a #2",
    ]


def test_an_int8_file_alone_runs_on_onnxruntime(tmp_path: Path):
    artifacts = open_models([quantized_cnn(tmp_path / "q.onnx")])
    assert [s.runner for s in default_subjects(artifacts, (), BenchSpec())] == ["ort"]
    assert [s.runner for s in default_subjects(artifacts, ("torch",), BenchSpec())] == ["torch"]


def test_a_fixed_batch_size_is_kept_or_refused(tmp_path: Path):
    artifacts = open_models([cnn(tmp_path / "fixed.onnx", batch=4)])
    assert natural_batch_size(artifacts) == 4
    with pytest.raises(SpecError, match=r"fixed to batch size 4 and can't run 1: use --batch-size"):
        default_subjects(artifacts, (), BenchSpec(batch_size=1))
    assert natural_batch_size(open_models([cnn(tmp_path / "any.onnx")])) == 1


def test_an_unknown_runner_is_refused(tmp_path: Path):
    with pytest.raises(SpecError, match="no runner 'tvm'"):
        default_subjects(open_models([cnn(tmp_path / "m.onnx")]), ("tvm",), BenchSpec())


def test_session_options_go_to_the_runner_that_knows_them(tmp_path: Path):
    artifacts = open_models([cnn(tmp_path / "m.onnx")])
    entry = ("session.intra_op.allow_spinning", "0")
    torch, ort = default_subjects(artifacts, (), BenchSpec(), (entry,))
    assert torch.session_options == ()
    assert ort.session_options == (entry,)
    with pytest.raises(SpecError, match="no subject here takes it"):
        default_subjects(artifacts, ("torch",), BenchSpec(), (entry,))
    with pytest.raises(SpecError, match="INFERENCE_PRECISION_HINT: no subject"):
        default_subjects(artifacts, ("ort",), BenchSpec(), (("INFERENCE_PRECISION_HINT", "f32"),))


def test_pinned_subjects_share_the_cores_and_instances_divide_them(tmp_path: Path):
    artifacts = open_models([cnn(tmp_path / "m.onnx")])
    cores = one_cpu_per_core()
    pinned = default_subjects(artifacts, (), BenchSpec(pin=True, threads=1))
    assert [subject.cpus for subject in pinned] == [cores[:1]] * 2
    spec = BenchSpec(pin=True, threads=1, throughput=True, instances=len(cores))
    assert default_subjects(artifacts, ("ort",), spec)[0].cpus == cores
    spec = BenchSpec(pin=True, threads=len(cores) + 1)
    with pytest.raises(SpecError, match=f"need {len(cores) + 1} physical cores"):
        default_subjects(artifacts, ("ort",), spec)


def test_instances_share_the_cores_by_default(tmp_path: Path):
    artifacts = open_models([cnn(tmp_path / "m.onnx")])
    spec = BenchSpec(throughput=True, instances=1000)
    assert default_subjects(artifacts, ("ort",), spec)[0].threads == 1
