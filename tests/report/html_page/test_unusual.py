"""Results with little in them, with too much, or with numbers that are none."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from resnet_deploy.report import html
from resnet_deploy.report.chart import Point
from resnet_deploy.report.document import Document, Section
from resnet_deploy.report.html_page.writer import page
from resnet_deploy.report.views.pareto import candidate, pareto_front
from resnet_deploy.results import BenchmarkSweep, Profile, paired_ratios
from tests.support.html_reading import Reading, read
from tests.support.reports.benchmarks import bench_result, bench_samples, profile, profiled, tuning
from tests.support.reports.parts import diff
from tests.support.reports.quality import (
    deployment,
    evaluation,
    parity_report,
    saturation_report,
)


def drawn(candidates: list[Point]) -> Reading:
    chart = pareto_front(candidates, title="test", lost="points")
    section = Section("test", (chart,))
    return read(page(Document(topic="Test", title="test", sections=(section,))))


def test_one_subject_has_nothing_to_compare_with():
    result = replace(bench_result(), subjects=bench_result().subjects[:1], ratios=(), skipped={})
    found = read(html(result))
    assert "One subject: nothing to compare with." in found.texts["p"]
    assert "How many times as fast" not in found.texts["h2"]


def test_too_few_rounds_have_no_interval():
    subjects = tuple(
        replace(samples, rounds_ns=samples.rounds_ns[:2]) for samples in bench_result().subjects
    )
    result = replace(bench_result(), subjects=subjects, ratios=paired_ratios(subjects))
    written = html(result)
    assert "too few rounds" in read(written).texts["td"]
    assert "inf" not in written.replace("information", "")


def test_one_run_of_one_round():
    subjects = tuple(
        replace(samples, rounds_ns=((5_000_000,),)) for samples in bench_result().subjects
    )
    result = replace(bench_result(), subjects=subjects, ratios=paired_ratios(subjects))
    assert "5.000" in read(html(result)).texts["td"]


def test_very_different_latencies_get_a_logarithmic_axis():
    fast, slow = bench_samples("a", "ort", "fp32", 0.5), bench_samples("b", "ort", "fp32", 500.0)
    result = replace(bench_result(), subjects=(fast, slow), ratios=paired_ratios((fast, slow)))
    assert "milliseconds per run, logarithmic" in read(html(result)).texts["text"]
    assert "milliseconds per run" in read(html(bench_result())).texts["text"]


def test_many_runs_do_not_make_a_large_page():
    many = tuple(
        replace(samples, rounds_ns=samples.rounds_ns * 100) for samples in bench_result().subjects
    )
    written = html(replace(bench_result(), subjects=many, ratios=paired_ratios(many)))
    assert len(written) < 150_000


def test_throughput_is_shown_beside_latency():
    subjects = tuple(
        replace(samples, images_per_slice=(100.0, 110.0, 105.0))
        for samples in bench_result().subjects
    )
    found = read(html(replace(bench_result(), subjects=subjects)))
    assert "Throughput" in found.texts["h3"]
    assert "105.0 images/s" in found.texts["text"]


def test_several_settings_are_told_apart():
    larger = bench_result()
    larger = replace(larger, spec=replace(larger.spec, batch_size=8))
    found = read(html(BenchmarkSweep(results=(bench_result(), larger))))
    assert "Latency, batch size 1, 2 threads" in found.texts["h2"]
    assert "Latency, batch size 8, 2 threads" in found.texts["h2"]


@pytest.mark.parametrize("noise", [0.0, math.nan, math.inf])
def test_parity_of_anything(noise):
    odd = diff("logits", noise)
    report = parity_report()
    cases = tuple(replace(case, outputs=(odd,)) for case in report.cases)
    found = read(html(replace(report, cases=cases, layers=(odd, diff("fc", 0.0)))))
    shown = "identical" if noise == 0 else "nothing left"
    assert shown in found.texts["text"]
    assert "All layers" in found.texts["h3"]


def test_what_lost_its_signal_has_no_frame_of_what_is_equal():
    styles = {}
    for noise in (0.0, math.inf):
        report = parity_report()
        case = replace(report.cases[0], outputs=(diff("logits", noise),))
        styles[noise] = (
            "endless" in html(replace(report, cases=(case,), layers=())).split("<svg")[1]
        )
    assert styles == {0.0: True, math.inf: False}


def test_parity_without_layers_or_classes_or_environment():
    report = parity_report()
    cases = tuple(replace(case, top1_equal=()) for case in report.cases)
    found = read(html(replace(report, cases=cases, layers=(), environment=None)))
    assert "no classes" in found.texts["dd"]
    assert "Layer by layer" not in found.texts["h2"]
    assert "pre" not in found.tags


def test_a_thousand_classes_are_not_all_listed():
    names = tuple(f"class number {number}" for number in range(1000))
    written = html(evaluation(classes=names, each=5))
    assert len(written) < 60_000
    found = read(written)
    assert "The 20 of 1,000 classes that lost most" in found.texts["h2"]
    assert not any("Confusion matrix" in text for text in found.texts["title"])


def test_an_evaluation_of_an_earlier_version_has_ranks_only():
    old = replace(
        evaluation(), predicted=(), confidences=(), truth=(), classes=(), against=None, data="old"
    )
    found = read(html(old))
    assert [text for text in found.texts["h2"] if text] == ["Top-1 accuracy", "Measured on"]


def test_skipped_images_are_named():
    written = html(replace(evaluation(), skipped=tuple(f"{n}.png" for n in range(12))))
    (line,) = (text for text in read(written).texts["li"] if "left out" in text)
    assert line.startswith("12 images left out, as they can't be read: 0.png, 1.png")
    assert line.endswith("9.png and 2 more")


def test_a_net_of_one_layer_has_no_ranking():
    made = deployment()
    assert made.sensitivity is not None
    empty = replace(made, sensitivity=replace(made.sensitivity, layers=()), budget=None)
    assert any("nothing to rank" in line for line in read(html(empty)).texts["li"])


def test_a_failed_quantization_says_so():
    failed = replace(deployment(), files={}, sensitivity=None, budget=None)
    found = read(html(failed))
    assert "FAIL" in found.texts["p"]
    assert "Nothing was written: a check failed." in found.texts["p"]


def test_weights_that_cannot_overflow():
    safe = replace(saturation_report(), layers=(), images=0)
    assert "Safe" in read(html(safe)).texts["p"]


def test_pareto_of_nothing_and_of_what_could_not_be_measured():
    assert "svg" in drawn([]).tags
    odd = candidate("odd", math.nan, math.inf, front=True)
    good = candidate("good", 1.0, 0.0, chosen=True, mark="#2")
    found = drawn([odd, good])
    assert "good: 1.000 ms, 0.00 points; odd: nan ms, inf points" in found.texts["desc"]
    assert "#2" in found.texts["text"]
    assert found.tags.count("circle") == 1


def test_a_search_that_found_nothing():
    report = tuning()
    strict = replace(report, spec=replace(report.spec, min_agreement=1.0), trials=report.trials[:1])
    found = read(html(strict))
    assert "FAIL" in found.texts["p"]
    assert "What to do with it" not in found.texts["h2"]
    assert "What to do with it" in read(html(report)).texts["h2"]


def test_operators_add_up():
    few = replace(profile(), operators=profile().operators[:2])
    found = read(html(profiled(few)))
    total = f"{few.total_ms:.3f} ms"
    assert f"{total} in all operators together." in found.texts["figcaption"]
    assert f"{total}, 100.0%" in found.texts["text"]
    empty = Profile(subject="a", batch_size=1, threads=1, operators=())
    assert "svg" in read(html(profiled(empty))).tags
