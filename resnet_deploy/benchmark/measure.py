"""The benchmark itself: processes, rounds, and what is kept of them.

It is one loop with what it opens and closes, which is read together.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.model_file import bytes_of
from resnet_deploy.artifact.unfinished import scratch_folder
from resnet_deploy.benchmark.samples import Samples, samples_for
from resnet_deploy.benchmark.schedule import FEWEST_ROUNDS, Schedule, may_stop, plan
from resnet_deploy.errors import (
    ArtifactError,
    MissingDependencyError,
    SpecError,
    UnsupportedGraphError,
)
from resnet_deploy.measure.group import ProcessGroup
from resnet_deploy.measure.process import SubjectProcess
from resnet_deploy.measure.stopwatch import Clock, Process
from resnet_deploy.processes.engine import at_once
from resnet_deploy.progress import Progress, silent
from resnet_deploy.results import (
    BenchmarkResult,
    BenchSamples,
    BenchSubject,
    ColdStart,
    Environment,
    OutputDiff,
    paired_ratios,
)
from resnet_deploy.results.interval import FEWEST_PROCESSES
from resnet_deploy.runners.compare import difference_and_top1
from resnet_deploy.spec import BenchSpec

_PATIENCE = 1.5
"""How many time limits may pass before there are enough processes."""

Start = Callable[[BenchSubject, Path], Process]
"""Starts the process of a subject; the folder is for its files."""

_REWARMING = 0.3
"""Share of the warm-up time that a process gets after the first: the files are in memory now."""


def measure(
    subjects: Sequence[BenchSubject],
    spec: BenchSpec,
    *,
    environment: Environment,
    progress: Progress = silent,
    required: bool = True,
    start: Start = SubjectProcess,
    clock: Clock = time.perf_counter_ns,
) -> BenchmarkResult:
    """Measure ``subjects`` in interleaved rounds.

    Args:
        subjects: the first one that runs is the reference of parity and of the ratios.
        spec: how to measure. What a subject says of its batch size, threads and instances holds
            for that subject.
        environment: where this runs, for the record.
        progress: told after each subject is loaded and after each round.
        required: whether a subject whose package is missing, or that can't take the model, is
            an error; otherwise it is skipped and the result says why.
        start: starts a subject's process; tests pass mocks, comparisons other interpreters.
        clock: for the time limit and the cold starts.

    Raises:
        SpecError: there are no subjects.
        ResnetDeployError: a subject can't run, or its process died.
    """
    if not subjects:
        raise SpecError("there is nothing to measure: name a runner that takes these files")
    with scratch_folder() as folder:
        session = _Session(spec, folder, start, clock, progress)
        skipped = session.open(subjects, required=required)
        session.run()
    samples = session.samples()
    return BenchmarkResult(
        spec=spec,
        environment=environment,
        subjects=samples,
        ratios=paired_ratios(samples),
        skipped=skipped,
    )


@dataclass
class _Entry:
    """A subject with its present process, and what was measured of it so far."""

    subject: BenchSubject
    samples: Samples
    process: Process
    cold_starts: list[ColdStart]
    warmup_runs: int
    logits: Array
    start_ns: int
    warm_ns: int
    rounds: list[tuple[int, ...]] = field(default_factory=list)
    images_per_slice: list[float] = field(default_factory=list)
    peak_rss_bytes: int = 0


class _Session:
    """One benchmark from its first process to its last."""

    def __init__(
        self, spec: BenchSpec, folder: Path, start: Start, clock: Clock, progress: Progress
    ) -> None:
        self._spec = spec
        self._folder = folder
        self._start = start
        self._clock = clock
        self._progress = progress
        self._entries: list[_Entry] = []
        self._processes: list[int] = []
        self._begin = clock()
        self._last_ns = 0  # what the last process took, from its start
        self._open = ExitStack()

    def open(self, subjects: Sequence[BenchSubject], *, required: bool) -> dict[str, str]:
        """Start each subject, one after the other; return those that can't run and why."""
        skipped: dict[str, str] = {}
        with ExitStack() as stack:
            for index, subject in enumerate(subjects):
                self._progress("load and warm up", index, len(subjects))
                try:
                    self._entries.append(self._first_process(subject, stack))
                except (MissingDependencyError, UnsupportedGraphError) as error:
                    if required or (index == len(subjects) - 1 and not self._entries):
                        raise
                    skipped[subject.label] = str(error)
            self._progress("load and warm up", len(subjects), len(subjects))
            self._open = stack.pop_all()
        return skipped

    def run(self) -> None:
        """Run all rounds; between two processes, all are ended and started anew."""
        with self._open:
            self._start_cold()
            schedule = self._plan()
            shuffle = random.Random(self._spec.seed).sample
            number = 0
            for size in schedule.sizes:
                if self._processes and self._is_over():
                    break
                begin = self._clock()
                if self._processes:
                    self._restart(shuffle(self._entries, len(self._entries)))
                self._processes.append(0)
                for _ in range(size):
                    alone = len(schedule.sizes) == 1
                    if alone and number >= FEWEST_ROUNDS and self._used_ns() > self._limit_ns:
                        break
                    self._progress("measure", number, sum(schedule.sizes))
                    for entry in shuffle(self._entries, len(self._entries)):
                        self._turn(entry, schedule.runs)
                    self._processes[-1] += 1
                    number += 1
                for entry in self._entries:
                    peak = entry.process.peak_rss_bytes()
                    entry.peak_rss_bytes = max(entry.peak_rss_bytes, peak)
                self._last_ns = self._clock() - begin
            self._progress("measure", sum(schedule.sizes), sum(schedule.sizes))

    def samples(self) -> tuple[BenchSamples, ...]:
        """Return what was measured of each subject so far."""
        return tuple(self._samples_of(entry) for entry in self._entries)

    @property
    def _limit_ns(self) -> float:
        return self._spec.time_limit * 1e9

    def _used_ns(self) -> int:
        return self._clock() - self._begin

    def _is_over(self) -> bool:
        done = len(self._processes)
        if done < FEWEST_PROCESSES:  # the plan was that they fit; something has slowed it down
            enough = sum(self._processes) >= FEWEST_ROUNDS
            return enough and self._used_ns() > _PATIENCE * self._limit_ns
        if self._used_ns() + self._last_ns > self._limit_ns:
            return True
        return may_stop(paired_ratios(self.samples()), done, self._spec.precision)

    def _plan(self) -> Schedule:
        spec = self._spec
        slowest = max(entry.start_ns for entry in self._entries)  # they load at the same time
        warming = sum(entry.warm_ns for entry in self._entries)
        if spec.throughput:
            round_ns = int(len(self._entries) * spec.slice_seconds * 1e9)
        else:
            round_ns = sum(min(entry.process.run(1)) for entry in self._entries)
        return plan(spec, slowest + int(_REWARMING * warming), round_ns)

    def _launch(self, subject: BenchSubject) -> Process:
        if subject.instances == 1:
            return self._start(subject, self._folder)
        share = len(subject.cpus) // subject.instances
        return ProcessGroup(
            [
                self._start(
                    replace(subject, cpus=subject.cpus[share * number : share * (number + 1)]),
                    self._folder,
                )
                for number in range(subject.instances)
            ]
        )

    def _first_process(self, subject: BenchSubject, stack: ExitStack) -> _Entry:
        samples = samples_for(subject, self._spec, self._folder)
        with ExitStack() as own:  # ends the process at once when its model can't be loaded
            process, cold = self._cold_start(subject, samples.file, own)
            loaded = self._clock()
            warmup_runs = process.warm_up(self._spec.warmup_seconds)
            entry = _Entry(
                subject=subject,
                samples=samples,
                process=process,
                cold_starts=[cold],
                warmup_runs=warmup_runs,
                logits=process.logits(),
                start_ns=cold.startup_ns + cold.load_ns,
                warm_ns=self._clock() - loaded,
            )
            stack.push(own.pop_all())
        return entry

    def _cold_start(
        self, subject: BenchSubject, samples: Path, stack: ExitStack
    ) -> tuple[Process, ColdStart]:
        begin = self._clock()
        process = stack.enter_context(self._launch(subject))
        load_ns = process.load(subject, samples)
        startup_ns = max(0, self._clock() - begin - load_ns)
        return process, ColdStart(
            startup_ns=startup_ns, load_ns=load_ns, first_run_ns=process.first_run()
        )

    def _start_cold(self) -> None:
        """Start each subject as often as was asked for, the first processes included."""
        for number in range(1, self._spec.cold_starts):
            self._progress("cold starts", number, self._spec.cold_starts)
            for entry in self._entries:
                with ExitStack() as own:
                    _, cold = self._cold_start(entry.subject, entry.samples.file, own)
                    entry.cold_starts.append(cold)
        if self._spec.cold_starts > 1:
            self._progress("cold starts", self._spec.cold_starts, self._spec.cold_starts)

    def _restart(self, order: Sequence[_Entry]) -> None:
        """End all processes and start new ones; they load at the same time to save some.

        The order is another one each time, in case the first to start fares better.
        """
        self._open.close()
        for entry in order:
            entry.process = self._open.enter_context(self._launch(entry.subject))
        at_once(lambda entry: entry.process.load(entry.subject, entry.samples.file), order)
        for entry in order:
            entry.process.first_run()
            entry.process.warm_up(_REWARMING * self._spec.warmup_seconds)

    def _turn(self, entry: _Entry, runs: int) -> None:
        if not self._spec.throughput:
            entry.rounds.append(tuple(entry.process.run(runs)))
            return
        instances = entry.process.saturate(self._spec.slice_seconds)
        rates = [len(times) * 1e9 / sum(times) for times in instances]
        entry.images_per_slice.append(entry.subject.batch_size * sum(rates))
        entry.rounds.append(tuple(ns for times in instances for ns in times))

    def _samples_of(self, entry: _Entry) -> BenchSamples:
        first = self._entries[0]
        same_input = entry is not first and entry.samples.content == first.samples.content
        logits: OutputDiff | None = None
        top1: tuple[bool, ...] = ()
        if same_input and entry.logits.shape == first.logits.shape:
            classes = entry.samples.classes
            logits, top1 = difference_and_top1(
                "logits", first.logits, entry.logits, classes=classes
            )
        return BenchSamples(
            subject=entry.subject,
            rounds_ns=tuple(entry.rounds),
            warmup_runs=entry.warmup_runs,
            load_ns=entry.cold_starts[0].load_ns,
            first_run_ns=entry.cold_starts[0].first_run_ns,
            peak_rss_bytes=entry.peak_rss_bytes,
            file_bytes=_file_bytes(Path(entry.subject.model)),
            logits=logits,
            top1_equal=top1,
            processes=tuple(self._processes) if len(self._processes) > 1 else (),
            images_per_slice=tuple(entry.images_per_slice),
            cold_starts=tuple(entry.cold_starts),
            parity_images=entry.samples.shown,
            card_sqnr_db=entry.samples.card_sqnr_db,
            card_images=entry.samples.card_images,
        )


def _file_bytes(path: Path) -> int:
    try:
        return bytes_of(path)
    except ArtifactError:  # a peer's model, of another kind than ONNX
        return path.stat().st_size
