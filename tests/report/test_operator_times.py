"""Which operator takes how long."""

from __future__ import annotations

from resnet_deploy.report import csv
from resnet_deploy.report.views.operator_times import sentence
from tests.support.reports.benchmarks import bench_result, profile, profiled
from tests.support.terminal import printed


def test_the_slowest_operators_and_what_the_others_take_together() -> None:
    found = profile()
    shown = printed(profiled(found))
    assert "ONNX Runtime int8: time by operator, batch size 1, 2 threads" in shown
    lines = [line for line in shown.splitlines() if "QLinearConv" in line]
    assert len(lines) == 25
    times = [float(line.split()[3]) for line in lines]
    assert times == sorted(times, reverse=True)
    rest = sorted((operator.ms for operator in found.operators), reverse=True)[25:]
    assert f"{len(rest)} more: {sum(rest):.3f} ms, {sum(rest) / found.total_ms:.1%}" in shown
    assert sentence(found) in shown.replace("\n", "")


def test_files_have_all_operators() -> None:
    without = csv(bench_result()).count("\n")
    caption, header, space = 1, 1, 1
    rows = len(profile().operators)
    assert csv(profiled(profile())).count("\n") == without + caption + header + space + rows


def test_a_benchmark_has_its_profiles() -> None:
    shown = printed(profiled(profile()))
    assert "ONNX Runtime int8: time by operator" in shown
    assert "% int8, " in shown
