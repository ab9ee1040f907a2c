"""What was tried, what to ship, and the command that runs it."""

from __future__ import annotations

from dataclasses import replace

from resnet_deploy.report import csv, view
from resnet_deploy.results import PairedTop1, Ratio, TuningReport
from resnet_deploy.spec import Objective, TuneSpec
from tests.support.reports.benchmarks import tuning
from tests.support.terminal import printed

SHIPPED = "out dir/net.tuned.onnx"
REPORT = replace(tuning(), shipped=SHIPPED)


def row(text: str, number: int) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.strip().startswith(f"#{number}"))


def verdict(report: TuningReport) -> str:
    found = view(report).verdict
    assert found is not None
    (line,) = found.lines
    return line


def test_the_fastest_is_first_and_the_best_is_set_off() -> None:
    shown = printed(REPORT)
    numbers = [line.split()[0] for line in shown.splitlines() if line.strip().startswith("#")]
    assert numbers == ["#5", "#3", "#4", "#1", "#6", "#7", "#2"]
    assert row(shown, 5)[-2:] == ["to", "ship"]
    assert row(shown, 4)[-2:] == ["over", "budget"]
    assert row(shown, 2)[-1] == "front"
    assert "reference" in row(shown, 1)
    assert csv(REPORT).splitlines()[1].startswith('"#5 int8-mse-fast') is False
    assert csv(REPORT).splitlines()[1].startswith("#5 int8-mse-fast")


def test_the_verdict_and_how_to_run_it() -> None:
    assert verdict(REPORT).startswith(
        "PASS  int8-mse-fast-portable-uint8-nhwc on ort, 2 threads: 1.13 times as fast"
    )
    assert verdict(REPORT).endswith("(at least 98% the same class)")
    steps = view(REPORT).steps
    assert steps[0] == f"ship   {SHIPPED}"
    assert steps[1] == (f"try    resnet-deploy bench '{SHIPPED}' --runner ort --threads 2")
    assert steps[2] == "with   SessionOptions: intra_op_num_threads = 2"
    assert steps[3] == "bundle resnet-deploy bundle 'out dir' --target cpp -o net-cpp"
    unknown = view(tuning()).steps
    assert "ship   int8-mse-fast-portable-uint8-nhwc.onnx" in unknown
    assert len(unknown) == 3


def test_throughput_on_another_runtime_with_options() -> None:
    first = REPORT.trials[0]
    options = (("NUM_STREAMS", "1"),)
    setting = replace(first.setting, runner="openvino", instances=2, batch_size=4, options=options)
    steps = view(replace(REPORT, trials=(replace(first, setting=setting),))).steps
    assert "--throughput --instances 2 --batch-size 4 --session-option NUM_STREAMS=1" in steps[1]
    assert steps[2].startswith("with   OpenVINO: PERFORMANCE_HINT=LATENCY")


def test_nothing_keeps_the_budget() -> None:
    strict = replace(REPORT, spec=TuneSpec(min_agreement=1.0), trials=REPORT.trials[:1])
    assert verdict(strict) == (
        "FAIL  nothing keeps the budget (at least 100% the same class); the closest is "
        "int8-mse-fast-portable-float-nchw on ort, 2 threads: the class of fp32 on 98.10% of 1000 "
        "images"
    )
    assert view(strict).steps == ()


def test_labels_too_few_rounds_and_size() -> None:
    first = REPORT.trials[0]
    paired = PairedTop1(samples=1000, newly_right=1, newly_wrong=3)
    labelled = replace(first, fidelity=replace(first.fidelity, paired=paired))
    ratio = Ratio(subject="a", reference="b", rounds=(1.1, 1.2), minima=1.1)
    few = replace(labelled, ratio=ratio)
    spec = TuneSpec(max_drop=1.0, objective=Objective.SIZE)
    report = replace(REPORT, spec=spec, trials=(labelled, few))
    assert "?" in " ".join(row(printed(report), 2))
    assert "+0.20" in row(printed(report), 1)
    assert "22.00 MB; " in verdict(report)
    assert "top-1 -0.20 points" in verdict(report)


def test_the_method_says_what_is_missing() -> None:
    said = "\n".join(view(REPORT).method)
    assert "skipped openvino: it is not installed" in said
    assert "the time limit of 600 s ended the search early" in said
    assert "7 trials in 612 s" in said
    assert "ended" not in "\n".join(view(replace(REPORT, complete=True)).method)
    assert "repeat: resnet-deploy bench" in printed(REPORT)
