"""Which subject got slower, and how sure that is."""

from __future__ import annotations

from dataclasses import replace

from resnet_deploy.report import csv, html, view
from resnet_deploy.results import RegressionReport
from tests.support.html_reading import read
from tests.support.reports.benchmarks import regression
from tests.support.terminal import printed


def verdict(report: RegressionReport) -> str:
    found = view(report).verdict
    assert found is not None
    (line,) = found.lines
    return line


def test_a_row_per_subject() -> None:
    shown = printed(regression())
    (slower,) = (line for line in shown.splitlines() if "int8" in line and "regression" in line)
    assert slower.split()[3:5] == ["1", "2"]
    assert "+20.0%" in slower
    assert "ms an image, old" in shown
    assert "OpenVINO int8" in shown
    assert "the runs differ in another processor: A, B" in shown
    assert "what the machine changed can be taken out with --relative-to LABEL" in shown
    assert read(html(regression())).texts["h1"] == ["friday.json against monday.json"]


def test_verdicts() -> None:
    report = regression()
    assert verdict(report) == "FAIL  slower by more than 5 % beyond doubt: ONNX Runtime int8"
    fine = replace(report, changes=report.changes[:2])
    assert verdict(fine) == "PASS  nothing got slower by more than 5 %"
    single = replace(report.changes[2], before=(1e6,), after=(1.2e6,), by_process=False)
    unclear = replace(report, changes=(single,))
    assert "can't be told for ONNX Runtime int8: measure longer" in verdict(unclear)
    assert "too few rounds" in printed(unclear)
    assert "fewer than 4 processes per subject" in printed(unclear)


def test_relative_changes_have_no_times() -> None:
    relative = replace(regression(), relative_to="PyTorch fp32")
    shown = printed(relative)
    assert "relative to PyTorch fp32" in shown
    assert "old" not in shown
    assert "--relative-to" not in shown


def test_throughput_of_instances() -> None:
    report = regression()
    changes = tuple(replace(change, throughput=True, instances=3) for change in report.changes)
    shown = printed(replace(report, changes=changes))
    assert "images/s, old" in shown
    assert "3 x 2" in shown
    assert "3 x 2" in csv(replace(report, changes=changes))
