from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resnet_deploy.benchmark import compare_runs, load_results
from resnet_deploy.errors import ArtifactError, SpecError
from resnet_deploy.report import csv, html, markdown
from resnet_deploy.results import (
    BenchmarkResult,
    BenchSamples,
    BenchSubject,
    Change,
    ChangeVerdict,
    Environment,
    RegressionReport,
    from_dict,
    to_dict,
)
from resnet_deploy.spec import BenchSpec

HERE = Environment(
    command="resnet-deploy bench m.onnx",
    cpu="a CPU",
    isa=("avx2",),
    cores=2,
    os="Linux",
    python="3.11",
    versions={"onnxruntime": "1.31.1"},
)


def samples(
    label: str, ms: float, *, luck: float = 0.01, seed: int = 0, processes: int = 6
) -> BenchSamples:
    draw = np.random.default_rng([seed, *label.encode()])
    rounds = []
    for _ in range(processes):
        base = ms * math.exp(draw.normal(0, luck))
        rounds += [
            tuple(round(base * math.exp(draw.normal(0, 0.01)) * 1e6) for _ in range(5))
            for _ in range(3)
        ]
    return BenchSamples(
        subject=BenchSubject(
            label=label,
            runner="ort",
            model="m.onnx",
            precision="fp32",
            input_shape=(3, 8, 8),
            input_dtype="float32",
            batch_size=1,
            threads=2,
        ),
        rounds_ns=tuple(rounds),
        warmup_runs=1,
        load_ns=1,
        first_run_ns=1,
        peak_rss_bytes=1,
        file_bytes=1,
        processes=(3,) * processes if processes > 1 else (),
    )


def written(path: Path, *subjects: BenchSamples, environment: Environment = HERE) -> Path:
    result = BenchmarkResult(
        spec=BenchSpec(), environment=environment, subjects=subjects, ratios=()
    )
    path.write_text(json.dumps(to_dict(result)))
    return path


def compared(
    folder: Path, old: BenchSamples, new: BenchSamples, max_regress: float = 0.05
) -> RegressionReport:
    return compare_runs(
        written(folder / "old.json", old),
        written(folder / "new.json", new),
        max_regress=max_regress,
    )


@pytest.mark.parametrize(
    ("after", "luck", "verdict"),
    [
        (6.0, 0.01, ChangeVerdict.REGRESSION),
        (5.0, 0.01, ChangeVerdict.FINE),
        (5.3, 0.05, ChangeVerdict.UNCLEAR),
        (4.0, 0.01, ChangeVerdict.FASTER),
    ],
)
def test_only_what_the_interval_supports_is_a_regression(after, luck, verdict, tmp_path: Path):
    report = compared(
        tmp_path, samples("a", 5.0, luck=luck), samples("a", after, luck=luck, seed=1)
    )
    assert [change.verdict for change in report.changes] == [verdict]
    assert report.passed is (verdict is not ChangeVerdict.REGRESSION)
    assert report.changes[0].slowdown == pytest.approx(after / 5.0, rel=0.05)
    assert report.changes[0].by_process
    data = json.loads(json.dumps(to_dict(report), allow_nan=False))
    assert from_dict(RegressionReport, data) == report
    assert data["changes"][0]["verdict"] == verdict.value


def test_equal_runs_hardly_ever_fail(tmp_path: Path):
    failed = sum(
        not compared(
            tmp_path,
            samples("a", 5.0, luck=0.03, seed=2 * seed),
            samples("a", 5.0, luck=0.03, seed=2 * seed + 1),
            max_regress=0.001,
        ).passed
        for seed in range(100)
    )
    assert failed <= 2


def test_a_reference_takes_out_a_slower_machine(tmp_path: Path):
    old = written(tmp_path / "old.json", samples("torch", 40.0), samples("a", 5.0))
    slow = replace(HERE, cpu="a slower CPU", versions={"onnxruntime": "1.32"})
    new = written(
        tmp_path / "new.json",
        samples("torch", 80.0, seed=1),
        samples("a", 10.0, seed=1),
        environment=slow,
    )
    plain = compare_runs(old, new, max_regress=0.05)
    assert not plain.passed
    assert plain.differences == (
        "CPU: a CPU before, a slower CPU after",
        "onnxruntime: 1.31.1 before, 1.32 after",
    )
    relative = compare_runs(old, new, max_regress=0.05, relative_to="torch")
    assert relative.passed
    assert [change.subject for change in relative.changes] == ["a"]
    with pytest.raises(SpecError, match="--relative-to 'tvm'"):
        compare_runs(old, new, max_regress=0.05, relative_to="tvm")


def test_subjects_of_one_run_are_named(tmp_path: Path):
    old = written(tmp_path / "old.json", samples("a", 5.0), samples("b", 5.0))
    new = written(tmp_path / "new.json", samples("a", 5.0))
    assert compare_runs(old, new, max_regress=0.05).unmatched == (
        f"b (batch 1, 2 threads) is only in {old}",
    )
    foreign = written(tmp_path / "other.json", samples("c", 5.0))
    with pytest.raises(SpecError, match="no subject in common"):
        compare_runs(old, foreign, max_regress=0.05)


def test_runs_of_one_process_are_compared_by_rounds(tmp_path: Path):
    report = compared(tmp_path, samples("a", 5.0, processes=1), samples("a", 5.0))
    assert not report.changes[0].by_process
    assert (len(report.changes[0].before), len(report.changes[0].after)) == (3, 18)
    lone = Change(
        subject="a",
        batch_size=1,
        threads=1,
        instances=1,
        throughput=False,
        max_regress=0.05,
        by_process=False,
        before=(1.0,),
        after=(2.0,),
    )
    assert lone.verdict is ChangeVerdict.UNCLEAR


def test_a_sweep_is_read_as_several_results(tmp_path: Path):
    result = json.loads(written(tmp_path / "one.json", samples("a", 5.0)).read_text())
    (tmp_path / "two.json").write_text(json.dumps({"results": [result, result]}))
    assert len(load_results(tmp_path / "two.json")) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON .*nested"),
        ('{"a": 1, "a": 2}', "is not JSON .*twice"),
        ("NaN", "is not JSON"),
        ("9" * 5000, "is not JSON"),
        ("{}", "not of bench --json"),
        ("[]", "not of bench --json"),
        ('"text"', "not of bench --json"),
        ('{"results": []}', "holds no measurement"),
        ('{"subjects": [{}]}', "not of bench --json"),
        (None, "cannot read"),
    ],
)
def test_other_files_are_refused_in_one_line(text, message, tmp_path: Path):
    path = tmp_path / "x.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ArtifactError, match=message) as caught:
        load_results(path)
    assert "\n" not in str(caught.value)


def test_pipes_and_devices_are_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(ArtifactError, match="it is not a file"):
            load_results(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rounds_ns": []}, "holds no measurement"),
        ({"rounds_ns": [[]] * 18}, "holds no measurement"),
        ({"rounds_ns": [[0]] * 18}, "holds no measurement"),
        ({"rounds_ns": [[-5]] * 18}, "holds no measurement"),
        ({"rounds_ns": [[10**300]] * 18}, "holds no measurement"),
        ({"rounds_ns": [[1.5]] * 18}, "rounds_ns: 1.5 is not a whole number"),
        ({"rounds_ns": [["1"]] * 18}, "rounds_ns: '1' is not a whole number"),
        ({"rounds_ns": [[True]] * 18}, "rounds_ns: true is not a whole number"),
        ({"rounds_ns": "123"}, "rounds_ns: '123' is not a list"),
        ({"processes": [3]}, "holds no measurement"),
        ({"processes": [-1, 19]}, "holds no measurement"),
        ({"images_per_slice": [0.0]}, "holds no measurement"),
        ({"images_per_slice": [1e-320] * 18}, "holds no measurement"),
        ({"load_ns": -1}, "holds no measurement"),
        ({"cold_starts": [{"startup_ns": -1, "load_ns": 0, "first_run_ns": 0}]}, "no measurement"),
        ({"subject__batch_size": 0}, "holds no measurement"),
        ({"subject__batch_size": 10**300}, "holds no measurement"),
        ({"subject__instances": 0}, "holds no measurement"),
        ({"subject__label": ""}, "holds no measurement"),
        ({"subject__label": "x" * 60_000}, "holds no measurement"),
        ({"subject__label": 5}, "label: 5 is not text"),
    ],
)
def test_measurements_that_nobody_can_have_made(change, message, tmp_path: Path):
    path = written(tmp_path / "a.json", samples("a", 5.0))
    data = json.loads(path.read_text())
    (one,) = data["subjects"]
    for key, value in change.items():
        place = one["subject"] if key.startswith("subject__") else one
        place[key.removeprefix("subject__")] = value
    path.write_text(json.dumps(data))
    with pytest.raises(ArtifactError, match=message) as caught:
        load_results(path)
    assert "\n" not in str(caught.value)


def test_a_subject_that_is_there_twice_is_not_the_last_of_the_two(tmp_path: Path):
    old = written(tmp_path / "old.json", samples("a", 5.0))
    slow, again = (
        json.loads(written(tmp_path / "x.json", samples("a", ms)).read_text()) for ms in (9.0, 5.0)
    )
    (tmp_path / "new.json").write_text(json.dumps({"results": [slow, again]}))
    with pytest.raises(ArtifactError, match=r"new\.json holds a \(batch 1, 2 threads\) twice"):
        compare_runs(old, tmp_path / "new.json", max_regress=0.05)


def test_rounds_that_differ_beyond_all_floats_tell_nothing(tmp_path: Path):
    """The interval of two rounds is as wide as the float range of its logarithms, and wider."""
    few = replace(samples("a", 5.0), processes=())
    wild = replace(few, rounds_ns=((1,), (10**17,)))
    old = written(tmp_path / "old.json", replace(few, rounds_ns=few.rounds_ns[:2]))
    report = compare_runs(old, written(tmp_path / "new.json", wild), max_regress=0.05)
    assert report.changes[0].interval == (0.0, math.inf)
    assert report.changes[0].verdict is ChangeVerdict.UNCLEAR
    for write in (html, csv, markdown):
        assert "can" in write(report)


def test_a_reference_of_other_rounds_is_refused(tmp_path: Path):
    few = samples("torch", 40.0)
    few = replace(few, rounds_ns=few.rounds_ns[:1], processes=())
    old = written(tmp_path / "old.json", samples("torch", 40.0), samples("a", 5.0))
    new = written(tmp_path / "new.json", few, samples("a", 5.0))
    with pytest.raises(SpecError, match="not measured in the same rounds"):
        compare_runs(old, new, max_regress=0.05, relative_to="torch")
