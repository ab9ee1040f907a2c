from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.bench import (
    default_subjects,
    measure,
    natural_batch_size,
    open_models,
)
from resnet_deploy.errors import (
    MissingDependencyError,
    RunnerError,
    SpecError,
    UnsupportedGraphError,
)
from resnet_deploy.results import (
    BenchmarkResult,
    BenchSubject,
    Environment,
    Ratio,
    from_dict,
    median_interval,
    to_dict,
)
from resnet_deploy.runtime.mock import FakeClock, MockProcess, MockRunner
from resnet_deploy.spec import BenchSpec
from tests.runtime.graphs import cnn, quantized_cnn

HERE = Environment(
    command="resnet-deploy bench m.onnx",
    cpu="a CPU",
    isa=("avx2",),
    cores=2,
    os="Linux",
    python="3.11",
    versions={},
)
MS = 1_000_000


class Lab:
    """Starts mock processes; each label has its latencies in ms, repeated for ever."""

    def __init__(self, latencies: dict[str, list[float]], logits: dict[str, list[float]]) -> None:
        self.clock = FakeClock()
        self.latencies, self.logits = latencies, logits
        self.order: list[str] = []
        self.processes: list[MockProcess] = []

    def start(self, subject: BenchSubject, folder: Path) -> MockProcess:
        assert folder.is_dir()
        cycle = (round(ms * MS) for ms in itertools.cycle(self.latencies[subject.label]))
        logits = np.array(self.logits.get(subject.label, [1.0, 2.0]), np.float32)
        runner = MockRunner(self.clock, cycle, logits)
        self.processes.append(MockProcess(subject, runner, self.clock, self.order))
        return self.processes[-1]


def subject(label: str, folder: Path, runner: str = "ort", precision: str = "fp32") -> BenchSubject:
    model = folder / f"{label}.onnx"
    model.write_bytes(b"x" * 10)
    return BenchSubject(
        label=label,
        runner=runner,
        model=str(model),
        precision=precision,
        input_shape=(3, 8, 8),
        input_dtype="float32",
        batch_size=2,
        threads=1,
    )


def run(
    folder: Path,
    latencies: dict[str, list[float]],
    logits: dict[str, list[float]] | None = None,
    spec: BenchSpec | None = None,
) -> tuple[BenchmarkResult, Lab]:
    lab = Lab(latencies, logits or {})
    kinds = {"torch": ("torch", "fp32"), "int8": ("ort", "int8")}
    subjects = [subject(label, folder, *kinds.get(label, ("ort", "fp32"))) for label in latencies]
    spec = spec or BenchSpec(batch_size=2, rounds=8, runs_per_round=4, warmup_seconds=0.1)
    result = measure(subjects, spec, environment=HERE, start=lab.start, clock=lab.clock)
    assert all(process.closed for process in lab.processes)
    return result, lab


def test_ratios_are_paired_with_the_first_and_with_onnxruntime_fp32(tmp_path: Path):
    result, _ = run(tmp_path, {"torch": [40.0], "fp32": [20.0], "int8": [5.0]})
    assert [(r.subject, r.reference, r.median, r.minima) for r in result.ratios] == [
        ("fp32", "torch", 2.0, 2.0),
        ("int8", "torch", 8.0, 8.0),
        ("int8", "fp32", 4.0, 4.0),
    ]
    assert all(ratio.differs and len(ratio.rounds) == 8 for ratio in result.ratios)


def test_every_round_holds_every_subject_in_a_shuffled_order(tmp_path: Path):
    result, lab = run(tmp_path, {"a": [1.0], "b": [1.0], "c": [1.0]})
    rounds = [tuple(lab.order[i : i + 3]) for i in range(3, len(lab.order), 3)]  # after the pilot
    assert len(rounds) == 8
    assert all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert len(set(rounds)) > 1
    assert run(tmp_path, {"a": [1.0], "b": [1.0], "c": [1.0]})[1].order == lab.order
    assert {len(one) for samples in result.subjects for one in samples.rounds_ns} == {4}


def test_equal_subjects_show_no_difference(tmp_path: Path):
    noise = [10.0, 10.3, 9.9, 10.1, 11.0, 10.2, 9.8]
    result, _ = run(tmp_path, {"a": noise, "b": [*noise[3:], *noise[:3]]})
    assert not result.ratios[0].differs


def test_statistics_of_known_times(tmp_path: Path):
    result, _ = run(tmp_path, {"a": [4.0], "b": [2.0]})
    b = result.subjects[1]
    assert (b.min_ms, b.p50_ms, b.p90_ms, b.p99_ms) == (2.0, 2.0, 2.0, 2.0)
    assert b.images_per_second == 1000.0
    assert b.file_bytes == 10
    assert b.first_run_ns == 2 * MS
    assert b.load_ns == 1000


def test_parity_compares_logits_with_the_first(tmp_path: Path):
    result, _ = run(
        tmp_path,
        {"a": [1.0], "same": [1.0], "off": [1.0], "other": [1.0]},
        {"a": [1, 4], "same": [1, 4], "off": [5, 4], "other": [1, 2, 3]},
    )
    first, same, off, other = result.subjects
    assert first.logits is None
    assert other.logits is None  # another number of classes
    assert same.logits is not None
    assert same.logits.relative == 0
    assert same.agreement == 1.0
    assert len(same.top1_equal) == 8
    assert off.logits is not None
    assert off.logits.relative == 1.0
    assert off.agreement == 0.0


def test_results_survive_json(tmp_path: Path):
    result, _ = run(tmp_path, {"a": [2.0], "b": [1.0]}, spec=BenchSpec(batch_size=2, rounds=3))
    data = json.loads(json.dumps(to_dict(result), allow_nan=False))
    assert from_dict(BenchmarkResult, data) == result
    assert data["ratios"][0]["median"] == 2.0
    assert data["ratios"][0]["high"] is None
    assert data["subjects"][1]["p50_ms"] == 1.0


def test_a_time_limit_first_takes_runs_then_rounds(tmp_path: Path):
    # 8 rounds of (1 + n) runs of 30 ms in 1 s: n = 3.
    spec = BenchSpec(batch_size=2, rounds=8, runs_per_round=10, time_limit=1.0)
    result, _ = run(tmp_path, {"a": [10.0], "b": [20.0]}, spec=spec)
    assert {len(one) for one in result.subjects[0].rounds_ns} == {3}
    spec = BenchSpec(batch_size=2, rounds=50, runs_per_round=10, time_limit=0.1)
    result, _ = run(tmp_path, {"a": [10.0], "b": [20.0]}, spec=spec)
    assert [len(one) for one in result.subjects[0].rounds_ns] == [1] * 6


def test_what_cannot_run_is_skipped_unless_it_was_asked_for(tmp_path: Path):
    lab = Lab({"a": [1.0], "b": [1.0], "c": [1.0]}, {})

    def start(one: BenchSubject, folder: Path) -> MockProcess:
        if one.label == "a":
            raise MissingDependencyError("install it")
        return lab.start(one, folder)

    subjects = [subject(label, tmp_path) for label in "abc"]
    spec = BenchSpec(batch_size=2, rounds=6)
    result = measure(subjects, spec, environment=HERE, start=start, required=False)
    assert result.skipped == {"a": "install it"}
    assert [(r.subject, r.reference) for r in result.ratios] == [("c", "b")]
    with pytest.raises(MissingDependencyError):
        measure(subjects, spec, environment=HERE, start=start)
    with pytest.raises(MissingDependencyError):
        measure(subjects[:1], spec, environment=HERE, start=start, required=False)


def test_nothing_to_measure_is_an_error():
    with pytest.raises(SpecError, match="nothing to measure"):
        measure([], BenchSpec(), environment=HERE)
    with pytest.raises(SpecError, match="name at least one"):
        open_models([])


@pytest.mark.parametrize(
    "wrong",
    [{"rounds": 0}, {"runs_per_round": 0}, {"batch_size": 0}, {"threads": -1}, {"time_limit": 0}],
)
def test_impossible_specs_are_refused(wrong):
    with pytest.raises(SpecError):
        BenchSpec(**wrong)


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


def test_subjects_of_several_files_are_told_apart(tmp_path: Path):
    one, two = cnn(tmp_path / "a.onnx"), cnn(tmp_path / "b.onnx")
    subjects = default_subjects(open_models([one, two, one]), (), BenchSpec())
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


def test_real_processes_agree_with_each_other(tmp_path: Path):
    artifacts = open_models([cnn(tmp_path / "m.onnx")])
    spec = BenchSpec(threads=1, rounds=6, runs_per_round=2, warmup_seconds=0.01)
    subjects = default_subjects(artifacts, (), spec)
    stages: list[str] = []
    result = measure(
        subjects, spec, environment=HERE, progress=lambda stage, done, total: stages.append(stage)
    )
    assert result.subjects[1].logits is not None
    assert result.subjects[1].logits.relative < 1e-5
    assert result.subjects[1].agreement == 1.0
    assert {"load and warm up", "measure"} == set(stages)


def test_a_model_that_a_runner_refuses_is_an_error(tmp_path: Path):
    good = open_models([cnn(tmp_path / "m.onnx")])
    one = default_subjects(good, ("ort",), BenchSpec(threads=1))[0]
    Path(one.model).unlink()
    with pytest.raises(Exception, match="does not exist") as caught:
        measure([one], BenchSpec(rounds=1), environment=HERE)
    assert not isinstance(caught.value, (UnsupportedGraphError, RunnerError))


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(6, 0, 5), (8, 0, 7), (9, 1, 7), (10, 1, 8), (12, 2, 9), (20, 5, 14), (30, 9, 20)],
)
def test_the_interval_of_a_median_has_the_textbook_ranks(count, low, high):
    # Ranks of the sign test's 95 % interval, counted from 0.
    values = tuple(float(i) for i in range(count))
    assert median_interval(values) == (low, high)


def test_below_six_values_there_is_no_interval():
    assert median_interval((1.0, 1.1, 1.2, 1.3, 1.4)) == (0.0, math.inf)
    assert not Ratio(subject="a", reference="b", rounds=(2.0,) * 5, minima=2.0).differs


@given(st.lists(st.floats(0.1, 10), min_size=6, max_size=40), st.randoms())
def test_the_interval_holds_the_median_and_ignores_order(values, random):
    low, high = median_interval(tuple(values))
    assert low <= float(np.median(values)) <= high
    random.shuffle(values)
    assert median_interval(tuple(values)) == (low, high)


def test_the_interval_misses_no_more_often_than_it_says():
    generator = np.random.default_rng(0)
    draws = np.exp(generator.standard_normal((2000, 10)))  # skewed, true median 1
    intervals = [median_interval(tuple(draw)) for draw in draws.tolist()]
    assert sum(low <= 1 <= high for low, high in intervals) / len(intervals) >= 0.95
