"""Case by case and layer by layer, and the sentence that counts."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from resnet_deploy.report import csv, html
from resnet_deploy.report.views.parity import sentence
from resnet_deploy.results import ParityReport
from resnet_deploy.spec import FP32_TOLERANCE, INT8_TOLERANCE
from tests.support.html_reading import read
from tests.support.reports.parts import diff
from tests.support.reports.quality import parity_report
from tests.support.terminal import printed, rows


def of(*noises: float, **changed: object) -> ParityReport:
    """A report of one case whose outputs have these noises."""
    report = parity_report()
    outputs = tuple(diff(f"c{number}", noise) for number, noise in enumerate(noises, 2))
    case = replace(report.cases[0], outputs=outputs, **changed)  # type: ignore[arg-type]
    return replace(report, cases=(case,), layers=())


def test_a_row_per_case_and_per_layer() -> None:
    shown = printed(parity_report())
    first = shown.splitlines()[0]
    assert first == "ONNX Runtime on resnet34.int8.onnx against PyTorch on resnet34.onnx"
    assert "as written       1      128" in shown
    assert rows(shown)["layer2.0.downsample.0"][-1] == "fails"
    assert rows(shown)["conv1"][2] == "identical"
    assert rows(shown)["PASS"][:5] == ["PASS", "6", "cases", "on", "imagenet-sample:"]
    assert "top-1 equal on 98.4% of 128 images" in shown


def test_several_outputs_have_a_column_and_one_verdict_a_case() -> None:
    lines = [line.split() for line in printed(of(1.0, 0.1)).splitlines()]
    assert ["graph", "output", "batch"] in [line[:3] for line in lines]
    (first,) = (line for line in lines if "c2" in line)
    (second,) = (line for line in lines if line[2:3] == ["c3"])
    assert first[-2:] == ["98.44%", "ok"]
    assert second[-1] == "0.999950"
    assert "(c2)" in sentence(of(1.0, 0.1))


def test_without_classes_there_is_no_top1() -> None:
    report = of(1.0, top1_equal=())
    assert report.cases[0].agreement is None
    assert "top-1" not in printed(report)
    assert sentence(report) == (
        "1 cases on imagenet-sample: SQNR 30.0 dB, cosine 0.99950 on 128 images"
    )


def test_fp32_is_judged_by_its_largest_difference() -> None:
    assert sentence(of(1e-6, tolerance=FP32_TOLERANCE, top1_equal=(True,))) == (
        "1 cases on imagenet-sample: max relative difference 3.3e-08"
    )


@pytest.mark.parametrize("noise", [90.0, math.nan])
def test_a_failure_names_the_bound_and_the_first_layer_that_drifts(noise: float) -> None:
    report = replace(
        of(noise, tolerance=INT8_TOLERANCE), layers=(diff("conv1", 0.1), diff("fc", 90.0))
    )
    shown = printed(report)
    assert "FAIL  on imagenet-sample: " in shown
    assert "the first layer that drifts is fc" in shown
    assert rows(shown)["as"][-1] == "fails"
    failures = "; ".join(report.cases[0].failures)
    assert failures in read(html(report)).texts["td"]
    assert failures in csv(report)
