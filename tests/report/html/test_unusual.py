"""Results with little in them, with too much, or with numbers that are none."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from resnet_deploy.report.html.bench import benchmark_page
from resnet_deploy.report.html.elsewhere import saturation_page
from resnet_deploy.report.html.evaluation import evaluation_page
from resnet_deploy.report.html.operator_times import operator_profile
from resnet_deploy.report.html.page import Page, Section, Verdict, render_page
from resnet_deploy.report.html.pareto import Candidate, pareto
from resnet_deploy.report.html.parity import parity_page
from resnet_deploy.report.html.sensitivity import sensitivity_page
from resnet_deploy.report.html.tuning import tuning_page

from resnet_deploy.results import paired_ratios
from tests.report.html.reading import Reading, read
from tests.report.html.sample_benchmarks import bench_result, bench_samples, tuning
from tests.report.html.sample_parts import diff
from tests.report.html.sample_quality import (
    deployment,
    evaluation,
    parity_report,
    saturation_report,
)


def show(section: Section) -> Reading:
    verdict = Verdict(status="plain", word="Shown", sentences=())
    page = Page(
        topic="Test",
        title="test",
        verdict=verdict,
        tiles=(),
        sections=(section,),
        environment=None,
    )
    return read(render_page(page))


def test_one_subject_has_nothing_to_compare_with():
    result = replace(bench_result(), subjects=bench_result().subjects[:1], ratios=(), skipped={})
    found = read(benchmark_page([result]))
    assert "One subject: nothing to compare with." in found.texts["p"]
    assert "How many times as fast" not in found.texts["h2"]


def test_too_few_rounds_have_no_interval():
    subjects = tuple(replace(one, rounds_ns=one.rounds_ns[:2]) for one in bench_result().subjects)
    result = replace(bench_result(), subjects=subjects, ratios=paired_ratios(subjects))
    page = benchmark_page([result])
    assert "too few rounds" in read(page).texts["td"]
    assert "inf" not in page.replace("information", "")


def test_one_run_of_one_round():
    subjects = tuple(replace(one, rounds_ns=((5_000_000,),)) for one in bench_result().subjects)
    result = replace(bench_result(), subjects=subjects, ratios=paired_ratios(subjects))
    assert "5.000 ms" in read(benchmark_page([result])).texts["td"]


def test_very_different_latencies_get_a_logarithmic_axis():
    fast, slow = bench_samples("a", "ort", "fp32", 0.5), bench_samples("b", "ort", "fp32", 500.0)
    result = replace(bench_result(), subjects=(fast, slow), ratios=paired_ratios((fast, slow)))
    assert "milliseconds per run, logarithmic" in read(benchmark_page([result])).texts["text"]
    assert "milliseconds per run" in read(benchmark_page([bench_result()])).texts["text"]


def test_many_runs_do_not_make_a_large_page():
    many = tuple(replace(one, rounds_ns=one.rounds_ns * 100) for one in bench_result().subjects)
    page = benchmark_page([replace(bench_result(), subjects=many, ratios=paired_ratios(many))])
    assert len(page) < 150_000


def test_throughput_is_shown_beside_latency():
    subjects = tuple(
        replace(one, images_per_slice=(100.0, 110.0, 105.0)) for one in bench_result().subjects
    )
    found = read(benchmark_page([replace(bench_result(), subjects=subjects)]))
    assert "Throughput" in found.texts["h3"]
    assert "105.0 images/s" in found.texts["text"]


def test_several_settings_are_told_apart():
    other = bench_result()
    other = replace(other, spec=replace(other.spec, batch_size=8))
    found = read(benchmark_page([bench_result(), other]))
    assert "Latency, batch size 1, 2 threads" in found.texts["h2"]
    assert "Latency, batch size 8, 2 threads" in found.texts["h2"]


@pytest.mark.parametrize("noise", [0.0, math.nan, math.inf])
def test_parity_of_anything(noise):
    odd = diff("logits", noise)
    report = parity_report()
    cases = tuple(replace(case, outputs=(odd,)) for case in report.cases)
    found = read(parity_page(replace(report, cases=cases, layers=(odd, diff("fc", 0.0)))))
    shown = "nothing left" if noise else "identical"
    assert shown in found.texts["text"]
    assert "All layers" in found.texts["h3"]


def test_parity_without_layers_or_classes_or_environment():
    report = parity_report()
    cases = tuple(replace(case, top1_equal=()) for case in report.cases)
    found = read(parity_page(replace(report, cases=cases, layers=(), environment=None)))
    assert "no classes" in found.texts["dd"]
    assert "Layer by layer" not in found.texts["h2"]
    assert "pre" not in found.tags


def test_a_thousand_classes_are_not_all_listed():
    names = tuple(f"class number {number}" for number in range(1000))
    page = evaluation_page(evaluation(classes=names, each=5))
    assert len(page) < 60_000
    found = read(page)
    assert "The 20 of 1,000 classes that lost most" in found.texts["h2"]
    assert not any("Confusion matrix" in one for one in found.texts["title"])


def test_an_evaluation_of_an_earlier_version_has_ranks_only():
    old = replace(
        evaluation(), predicted=(), confidences=(), truth=(), classes=(), against=None, data="old"
    )
    found = read(evaluation_page(old))
    assert [one for one in found.texts["h2"] if one] == ["Top-1 accuracy", "Measured on"]


def test_skipped_images_are_named():
    page = evaluation_page(replace(evaluation(), skipped=tuple(f"{n}.png" for n in range(12))))
    assert any("12 images could not be read" in one for one in read(page).texts["li"])
    assert "and 2 more" in page


def test_a_net_of_one_layer_has_no_ranking():
    one = deployment()
    assert one.sensitivity is not None
    empty = replace(one, sensitivity=replace(one.sensitivity, layers=()), budget=None)
    assert any("nothing to rank" in line for line in read(sensitivity_page(empty)).texts["li"])


def test_a_failed_quantization_says_so():
    failed = replace(deployment(), files={}, sensitivity=None, budget=None)
    found = read(sensitivity_page(failed))
    assert "FAIL" in found.texts["p"]
    assert "Nothing was written: a check failed." in found.texts["p"]


def test_weights_that_cannot_overflow():
    safe = replace(saturation_report(), layers=(), images=0)
    assert "Safe" in read(saturation_page(safe)).texts["p"]


def test_pareto_of_nothing_and_of_what_could_not_be_measured():
    assert "svg" in show(pareto([])).tags
    odd = Candidate(label="odd", latency_ms=math.nan, accuracy_drop=math.inf, on_front=True)
    good = Candidate(label="good", latency_ms=1.0, accuracy_drop=0.0, chosen=True, mark="#2")
    found = show(pareto([odd, good]))
    assert "odd" in found.texts["th"]
    assert "#2 good" in found.texts["th"]
    assert "#2" in found.texts["text"]
    assert "chosen" in found.texts["td"]
    assert found.tags.count("circle") == 1


def test_a_search_that_found_nothing():
    report = tuning()
    strict = replace(report, spec=replace(report.spec, min_agreement=1.0), trials=report.trials[:1])
    found = read(tuning_page(strict, "best.onnx"))
    assert "FAIL" in found.texts["p"]
    assert "What to ship, and how to run it" not in found.texts["h2"]
    assert "What to ship, and how to run it" in read(tuning_page(report, "b")).texts["h2"]


def test_operators_add_up():
    found = show(operator_profile([("a", "Conv", 3.0), ("b", "Conv", 1.0), ("b", "Add", 0.0)]))
    assert "4.000 ms in all operators together." in found.texts["figcaption"]
    assert "4.000 ms, 100.0%" in found.texts["text"]
    assert "svg" in show(operator_profile([])).tags
