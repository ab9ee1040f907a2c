"""A page of every kind from made-up results: what the tests and the browser are shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from resnet_deploy.report.html.bench import benchmark_page
from resnet_deploy.report.html.elsewhere import isa_page, saturation_page
from resnet_deploy.report.html.evaluation import evaluation_page
from resnet_deploy.report.html.parity import parity_page
from resnet_deploy.report.html.regression import regression_page
from resnet_deploy.report.html.sensitivity import sensitivity_page
from resnet_deploy.report.html.tuning import tuning_page

from tests.report.html.sample_benchmarks import bench_result, profile, regression, tuning
from tests.report.html.sample_quality import (
    deployment,
    evaluation,
    isa_report,
    parity_report,
    saturation_report,
)

PAGES: dict[str, Callable[[], str]] = {
    "bench": lambda: benchmark_page([replace(bench_result(), profiles=(profile(),))]),
    "compare": lambda: regression_page(regression()),
    "verify": lambda: parity_page(parity_report()),
    "isa": lambda: isa_page(isa_report()),
    "saturation": lambda: saturation_page(saturation_report()),
    "evaluate": lambda: evaluation_page(evaluation()),
    "quantize": lambda: sensitivity_page(deployment()),
    "tune": lambda: tuning_page(tuning(), "resnet34.tuned/resnet34.tuned.onnx"),
}
"""One page of every kind, by name."""
