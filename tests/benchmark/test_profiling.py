from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from resnet_deploy.benchmark import default_subjects, open_models, profile_subjects
from resnet_deploy.errors import RunnerError, SpecError
from resnet_deploy.measure.operator_times import profile_operators
from resnet_deploy.report.views.operator_times import sentence
from resnet_deploy.results import OperatorKind, OperatorTime, Profile, from_dict, to_dict
from resnet_deploy.spec import BenchSpec, Optimization, SessionSpec
from tests.support.reports.benchmarks import profiled
from tests.support.runner_graphs import cnn, quantized_cnn, random
from tests.support.terminal import printed

ONE = SessionSpec(threads=1)


@pytest.mark.parametrize("optimization", list(Optimization))
def test_each_operator_has_its_torch_module_and_type(optimization, tmp_path: Path):
    path = cnn(tmp_path / "m.onnx")
    spec = SessionSpec(threads=1, optimization=optimization)
    operators = profile_operators(path, random(2, 3, 8, 8), spec, seconds=0.01)
    by_kernel = {operator.kernel: operator for operator in operators}
    conv = next(operator for kernel, operator in by_kernel.items() if "Conv" in kernel)
    assert conv.module == "layer1.0.conv1"
    assert conv.kind is OperatorKind.FLOAT
    assert len(conv.runs_ns) >= 5
    assert by_kernel["Gemm"].module == "fc"
    assert "Conv" in operators[0].kernel  # in the order in which they ran


def test_int8_operators_and_conversions_are_told_apart(tmp_path: Path):
    path = quantized_cnn(tmp_path / "q.onnx")
    operators = profile_operators(path, random(1, 3, 8, 8), ONE, seconds=0.01)
    kinds = {operator.kernel: operator.kind for operator in operators}
    assert kinds["QLinearConv"] is OperatorKind.INT8
    assert kinds["QuantizeLinear"] is OperatorKind.CONVERSION


def test_a_batch_of_the_wrong_shape_is_one_line(tmp_path: Path):
    path = cnn(tmp_path / "m.onnx")
    with pytest.raises(RunnerError, match=r"can't profile .*m\.onnx") as caught:
        profile_operators(path, np.zeros((1, 1), np.float32), ONE, seconds=0.01)
    assert "\n" not in str(caught.value)


def test_subjects_without_a_profiler_are_left_out_or_refused(tmp_path: Path):
    artifacts = open_models([cnn(tmp_path / "m.onnx")])
    both = default_subjects(artifacts, (), BenchSpec(threads=1))
    (profile,) = profile_subjects(both, BenchSpec())
    assert profile.subject == "ONNX Runtime fp32"
    assert from_dict(Profile, json.loads(json.dumps(to_dict(profile)))) == profile
    with pytest.raises(SpecError, match="no operator times from PyTorch fp32"):
        profile_subjects(both[:1], BenchSpec())


def test_the_report_shares_the_time_out():
    def operator(number: int, kind: OperatorKind, microseconds: int) -> OperatorTime:
        return OperatorTime(
            node=f"n{number}",
            module=f"layer{number}",
            kernel="Conv",
            kind=kind,
            runs_ns=(microseconds * 1000,) * 5,
        )

    kinds = (OperatorKind.INT8, OperatorKind.FLOAT, OperatorKind.CONVERSION)
    operators = tuple(
        operator(i, kind, us) for i, (kind, us) in enumerate(zip(kinds, (70, 20, 10), strict=True))
    )
    profile = Profile(subject="a", batch_size=1, threads=2, operators=operators)
    assert profile.total_ms == pytest.approx(0.1)
    assert sentence(profile).startswith(
        "a: 0.100 ms in 3 operators: 70.0% int8, 20.0% float, 10.0% in 1 that only change"
    )
    many = Profile(
        subject="a",
        batch_size=1,
        threads=2,
        operators=tuple(operator(i, OperatorKind.FLOAT, 10) for i in range(40)),
    )
    shown = printed(profiled(many), 90)
    assert "15 more" in shown
    assert "37.5%" in shown
