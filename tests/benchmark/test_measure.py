"""How runs are paired, pooled and judged.

Long because each rule is shown on a clock that tells made-up times, not by one big run.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resnet_deploy.benchmark import (
    Start,
    default_subjects,
    measure,
    open_models,
)
from resnet_deploy.errors import (
    MissingDependencyError,
    RunnerError,
    SpecError,
    UnsupportedGraphError,
)
from resnet_deploy.measure.stopwatch import Process
from resnet_deploy.results import (
    BenchmarkResult,
    BenchSubject,
    Environment,
    from_dict,
    to_dict,
)
from resnet_deploy.spec import BenchSpec
from tests.support.mock_process import FakeClock, MockProcess, MockRunner
from tests.support.runner_graphs import cnn

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
    """Starts mock processes; each label has its latencies in ms, repeated forever."""

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
    assert all(sorted(order) == ["a", "b", "c"] for order in rounds)
    assert len(set(rounds)) > 1
    assert run(tmp_path, {"a": [1.0], "b": [1.0], "c": [1.0]})[1].order == lab.order
    assert {len(runs) for samples in result.subjects for runs in samples.rounds_ns} == {4}


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
    first, same, off, wider = result.subjects
    assert first.logits is None
    assert wider.logits is None  # another number of classes
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
    assert {len(runs) for runs in result.subjects[0].rounds_ns} == {3}
    spec = BenchSpec(batch_size=2, rounds=50, runs_per_round=10, time_limit=0.1)
    result, _ = run(tmp_path, {"a": [10.0], "b": [20.0]}, spec=spec)
    assert [len(runs) for runs in result.subjects[0].rounds_ns] == [1] * 8


def test_what_cannot_run_is_skipped_unless_it_was_asked_for(tmp_path: Path):
    lab = Lab({"a": [1.0], "b": [1.0], "c": [1.0]}, {})

    def start(subject: BenchSubject, folder: Path) -> MockProcess:
        if subject.label == "a":
            raise MissingDependencyError("install it")
        return lab.start(subject, folder)

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
    subject = default_subjects(good, ("ort",), BenchSpec(threads=1))[0]
    Path(subject.model).unlink()
    with pytest.raises(Exception, match="does not exist") as caught:
        measure([subject], BenchSpec(rounds=1), environment=HERE)
    assert not isinstance(caught.value, (UnsupportedGraphError, RunnerError))


def test_processes_are_started_anew_and_pooled(tmp_path: Path):
    spec = BenchSpec(batch_size=2, rounds=12, runs_per_round=2, warmup_seconds=0.0)
    result, lab = run(tmp_path, {"a": [2.0], "b": [1.0]}, spec=spec)
    assert len(lab.processes) == 2 * 4
    for samples in result.subjects:
        assert samples.processes == (3, 3, 3, 3)
        assert len(samples.rounds_ns) == 12
    assert result.ratios[0].processes == (3, 3, 3, 3)
    assert result.ratios[0].median == pytest.approx(2.0)
    assert result.ratios[0].confidence == 0.99
    assert from_dict(BenchmarkResult, to_dict(result)) == result


def test_processes_start_in_another_order_each_time(tmp_path: Path):
    spec = BenchSpec(batch_size=2, rounds=60, warmup_seconds=0.0, precision=1e-9)
    lab = Lab({"a": [2.0, 2.1, 2.2, 1.9], "b": [1.0, 1.1, 1.5]}, {})
    started: list[str] = []

    def start(subject: BenchSubject, folder: Path) -> MockProcess:
        started.append(subject.label)
        return lab.start(subject, folder)

    pair = [subject(label, tmp_path) for label in "ab"]
    measure(pair, spec, environment=HERE, start=start, clock=lab.clock)
    assert started[:2] == ["a", "b"]
    assert {"".join(started[i : i + 2]) for i in range(0, len(started), 2)} == {"ab", "ba"}


def test_narrow_intervals_end_it_and_differences_do_not(tmp_path: Path):
    spec = BenchSpec(batch_size=2, runs_per_round=1, warmup_seconds=0.0)
    steady, _ = run(tmp_path, {"a": [3.0], "b": [1.0]}, spec=spec)
    assert len(steady.subjects[0].processes) == 6
    noise = [1.0, 1.3, 0.8, 1.1, 1.6, 0.9, 1.2]
    shaky, _ = run(tmp_path, {"a": [9.0], "b": noise}, spec=spec)
    assert len(shaky.subjects[0].processes) > 6
    assert shaky.ratios[0].differs


def test_throughput_sums_up_instances(tmp_path: Path):
    lab = Lab({"a": [2.0], "b": [1.0]}, {})
    subjects = [replace(subject(label, tmp_path), instances=1) for label in "ab"]
    spec = BenchSpec(batch_size=2, throughput=True, rounds=6, slice_seconds=0.01)
    result = measure(subjects, spec, environment=HERE, start=lab.start, clock=lab.clock)
    slower, faster = result.subjects
    assert slower.images_per_slice == pytest.approx((1000.0,) * 6)
    assert slower.images_per_second == pytest.approx(1000.0)
    assert len(slower.rounds_ns[0]) == 5
    assert faster.images_per_second == pytest.approx(2000.0)
    assert result.ratios[0].median == pytest.approx(2.0)
    assert result.ratios[0].minima == pytest.approx(2.0)


def test_each_cold_start_is_a_process_of_its_own(tmp_path: Path):
    spec = BenchSpec(batch_size=2, rounds=6, cold_starts=3, warmup_seconds=0.0)
    result, lab = run(tmp_path, {"a": [2.0], "b": [1.0]}, spec=spec)
    assert len(lab.processes) == 2 * 3
    cold = result.subjects[1].cold_starts
    assert [start.first_run_ns for start in cold] == [1 * MS] * 3
    assert [start.load_ns for start in cold] == [1000] * 3
    assert result.subjects[1].first_run_ms == 1.0


def test_a_subject_has_its_own_batch_size_and_threads(tmp_path: Path):
    lab = Lab({"a": [4.0], "b": [4.0]}, {})
    small, large = subject("a", tmp_path), replace(subject("b", tmp_path), batch_size=8, threads=2)
    spec = BenchSpec(batch_size=2, rounds=6)
    result = measure([small, large], spec, environment=HERE, start=lab.start, clock=lab.clock)
    assert result.ratios[0].median == 4.0  # of an image
    assert [samples.subject.batch_size for samples in result.subjects] == [2, 8]


class NoisyLab:
    """Processes as real ones are: each with lasting luck, all with drift, noise and spikes."""

    def __init__(self, seed: int, luck: Callable[[np.random.Generator], float]) -> None:
        self.clock = FakeClock()
        self._draw = np.random.default_rng(seed)
        self._luck = luck
        self._phase = self._draw.uniform(0, 6)

    def start(self, subject: BenchSubject, folder: Path) -> MockProcess:
        self.clock.advance(round(self._draw.uniform(0.2, 0.4) * 1e9))
        runner = MockRunner(self.clock, self._latencies(5 * MS * self._luck(self._draw)))
        return MockProcess(subject, runner, self.clock, [])

    def _latencies(self, base: float) -> Iterator[int]:
        while True:
            drift = 1 + 0.1 * math.sin(self.clock.now / 3e9 + self._phase)
            spike = 1 + self._draw.exponential() * (self._draw.random() < 0.03)
            yield round(base * drift * spike * math.exp(self._draw.normal(0, 0.02)))


@pytest.mark.parametrize(
    "luck",
    [
        lambda draw: 1.0,
        lambda draw: math.exp(draw.normal(0, 0.01)),
        lambda draw: 1.05 if draw.random() < 0.5 else 1.0,
    ],
    ids=["no luck", "lognormal luck", "good or bad luck"],
)
def test_the_same_thing_twice_shows_no_difference_in_95_of_100_trials(luck, tmp_path: Path):
    pair = [subject(label, tmp_path) for label in "ab"]
    wrong = 0
    for seed in range(100):
        lab = NoisyLab(seed, luck)
        spec = BenchSpec(batch_size=2, warmup_seconds=0.2, seed=seed, time_limit=6.0)
        result = measure(pair, spec, environment=HERE, start=lab.start, clock=lab.clock)
        assert result.ratios[0].processes
        wrong += result.ratios[0].differs
    assert wrong <= 5


def test_the_time_limit_ends_it_between_processes(tmp_path: Path):
    lab = NoisyLab(0, lambda draw: 1.0)
    spec = BenchSpec(batch_size=2, warmup_seconds=0.1, time_limit=10.0, precision=1e-9)
    pair = [subject(label, tmp_path) for label in "ab"]
    result = measure(pair, spec, environment=HERE, start=lab.start, clock=lab.clock)
    assert 4 < len(result.subjects[0].processes) < 20
    assert 7e9 < lab.clock.now < 10.5e9


def test_a_machine_that_slows_down_is_not_waited_for_forever(tmp_path: Path):
    lab = NoisyLab(0, lambda draw: 1.0)
    started = 0

    def start(subject: BenchSubject, folder: Path) -> MockProcess:
        nonlocal started
        started += 1
        lab.clock.advance(0 if started <= 2 else 4_000_000_000)
        return lab.start(subject, folder)

    pair = [subject(label, tmp_path) for label in "ab"]
    spec = BenchSpec(batch_size=2, warmup_seconds=0.1, time_limit=10.0, precision=1e-9)
    result = measure(pair, spec, environment=HERE, start=start, clock=lab.clock)
    assert result.subjects[0].processes == (3, 3, 3)
    assert lab.clock.now < 20e9
    assert 0 < result.ratios[0].low < 1 < result.ratios[0].high < 1.2


def test_a_difference_of_ten_percent_is_found_despite_the_luck(tmp_path: Path):
    pair = [subject(label, tmp_path) for label in ("slow", "fast")]
    found = 0
    for seed in range(20):
        lab = NoisyLab(seed, lambda draw: math.exp(draw.normal(0, 0.01)))
        start = lab.start

        def slower(
            subject: BenchSubject, folder: Path, lab: NoisyLab = lab, start: Start = start
        ) -> Process:
            lab._luck = lambda draw: (
                math.exp(draw.normal(0, 0.01)) * (1.1 if subject.label == "slow" else 1.0)
            )
            return start(subject, folder)

        spec = BenchSpec(batch_size=2, warmup_seconds=0.2, seed=seed)
        result = measure(pair, spec, environment=HERE, start=slower, clock=lab.clock)
        found += result.ratios[0].low > 1
    assert found == 20


def test_real_instances_run_at_once(tmp_path: Path):
    artifacts = open_models([cnn(tmp_path / "m.onnx")])
    spec = BenchSpec(
        threads=1,
        rounds=6,
        warmup_seconds=0.01,
        throughput=True,
        instances=2,
        slice_seconds=0.02,
    )
    subjects = default_subjects(artifacts, ("ort",), spec)
    result = measure(subjects, spec, environment=HERE)
    (samples,) = result.subjects
    assert samples.subject.instances == 2
    assert len(samples.images_per_slice) == 6
    assert samples.peak_rss_bytes > 6e7
