"""Measure files and runners side by side, so that the ratios can be trusted.

Each subject runs in a process of its own. They take turns in rounds, in an order shuffled for
each, while the others are stopped: a slow minute hits all, and ratios are formed within a round.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from resnet_deploy.artifact import Artifact, load
from resnet_deploy.errors import (
    ArtifactError,
    MissingDependencyError,
    SpecError,
    UnsupportedGraphError,
)
from resnet_deploy.progress import Progress, silent
from resnet_deploy.results import (
    BenchmarkResult,
    BenchSamples,
    BenchSubject,
    Environment,
    OutputDiff,
    paired_ratios,
)
from resnet_deploy.runtime.base import Array
from resnet_deploy.runtime.compare import difference, top1_equal
from resnet_deploy.runtime.cpu import default_threads
from resnet_deploy.runtime.process import WorkerProcess
from resnet_deploy.runtime.registry import check_runner
from resnet_deploy.runtime.stopwatch import Clock, Process
from resnet_deploy.spec import BenchSpec

FEWEST_ROUNDS = 6
"""Below 6 rounds no 95 % interval of a median exists; a time limit doesn't go below."""

_PARITY_SAMPLES = 8
_RUNTIME_NAMES = {"torch": "PyTorch", "ort": "ONNX Runtime"}

Start = Callable[[BenchSubject, Path], Process]
"""Starts the process of a subject; the folder is for its files."""


def open_models(models: Sequence[Path]) -> list[Artifact]:
    """Return the artifacts at ``models``; beside a lone ``x.onnx`` also ``x.int8.onnx``, if any.

    Raises:
        SpecError: there is no model.
        ArtifactError: one of the files is no ONNX image classifier.
    """
    if not models:
        raise SpecError("there is nothing to measure: name at least one ONNX file")
    artifacts = [load(path) for path in models]
    sibling = models[0].with_suffix(".int8.onnx")
    if len(models) == 1 and not artifacts[0].quantized and sibling.exists():
        artifacts.append(_made_from(load(sibling), artifacts[0]))
    return artifacts


def _made_from(int8: Artifact, fp32: Artifact) -> Artifact:
    """Return ``int8`` if its card does not say that it was made from another file.

    Raises:
        ArtifactError: it was: a comparison would mean nothing.
    """
    steps = int8.card.steps if int8.card else ()
    sources = [step.options.get("fp32_sha256") for step in steps if step.name == "quantize"]
    if sources and sources[-1] != fp32.sha256:
        raise ArtifactError(
            f"{int8.path} was not made from {fp32.path}: quantize it again, or name the files "
            "to be measured one by one"
        )
    return int8


def natural_batch_size(artifacts: Sequence[Artifact]) -> int:
    """Return the batch size that the first fixed model needs, or 1 when all take any."""
    return next((a.input.shape[0] for a in artifacts if a.input.shape[0] is not None), 1)


def default_subjects(
    artifacts: Sequence[Artifact], runners: Sequence[str], spec: BenchSpec
) -> tuple[BenchSubject, ...]:
    """Return what to measure: each of ``runners`` on each file that it is meant for.

    Without ``runners``: PyTorch on the first fp32 file, then ONNX Runtime on all of them. The
    torch runner emulates an int8 file slowly in float32, so it gets one only when there is no
    fp32 file.

    Raises:
        SpecError: a runner does not exist, or a model is fixed to another batch size.
    """
    for name in runners:
        check_runner(name)
    floats = [artifact for artifact in artifacts if not artifact.quantized]
    pairs: list[tuple[str, Artifact]] = []
    for name in dict.fromkeys(runners or ("torch", "ort")):
        if name != "torch":
            pairs += [(name, artifact) for artifact in artifacts]
        elif runners:
            pairs += [(name, artifact) for artifact in floats or artifacts]
        else:
            pairs += [(name, artifact) for artifact in floats[:1]]
    kinds = Counter((name, artifact.precision) for name, artifact in pairs)
    by_file = max(kinds.values()) > 1
    seen: Counter[str] = Counter()
    subjects = []
    for name, artifact in pairs:
        what = artifact.path.stem if by_file else artifact.precision
        label = f"{_RUNTIME_NAMES[name]} {what}"
        seen[label] += 1
        if seen[label] > 1:
            label += f" #{seen[label]}"
        subjects.append(_subject(label, name, artifact, spec))
    return tuple(subjects)


def _subject(label: str, runner: str, artifact: Artifact, spec: BenchSpec) -> BenchSubject:
    fixed = artifact.input.shape[0]
    if fixed is not None and fixed != spec.batch_size:
        raise SpecError(
            f"{artifact.path} is fixed to batch size {fixed} and can't run {spec.batch_size}: "
            f"use --batch-size {fixed}, or export it without --batch-size"
        )
    channels, height, width = artifact.input.shape[1:]
    size = artifact.image_size
    return BenchSubject(
        label=label,
        runner=runner,
        model=str(artifact.path),
        precision=artifact.precision,
        input_shape=(channels or 3, height or size, width or size),
        input_dtype=artifact.input.dtype,
        batch_size=spec.batch_size,
        threads=spec.threads or default_threads(),
    )


def measure(
    subjects: Sequence[BenchSubject],
    spec: BenchSpec,
    *,
    environment: Environment,
    progress: Progress = silent,
    required: bool = True,
    start: Start = WorkerProcess,
    clock: Clock = time.perf_counter_ns,
) -> BenchmarkResult:
    """Measure ``subjects`` in interleaved rounds.

    Args:
        subjects: the first one that runs is the reference of parity and of the ratios.
        spec: how to measure.
        environment: where this runs, for the record.
        progress: told after each subject is loaded and after each round.
        required: whether a subject whose package is missing, or that can't take the model, is
            an error; otherwise it is skipped and the result says why.
        start: starts a subject's process; tests pass mocks.
        clock: for the time limit only.

    Raises:
        SpecError: there are no subjects.
        ResnetDeployError: a subject can't run, or its process died.
    """
    if not subjects:
        raise SpecError("there is nothing to measure: name a runner that takes these files")
    skipped: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="resnet-deploy-") as name, ExitStack() as stack:
        folder = Path(name)
        entries: list[_Entry] = []
        for index, subject in enumerate(subjects):
            progress("load and warm up", index, len(subjects))
            try:
                entries.append(_prepare(subject, spec, folder, start, stack))
            except (MissingDependencyError, UnsupportedGraphError) as error:
                if required or (index == len(subjects) - 1 and not entries):
                    raise
                skipped[subject.label] = str(error)
        progress("load and warm up", len(subjects), len(subjects))
        _run_rounds(entries, spec, progress, clock)
        samples = tuple(_finish(entry, entries[0]) for entry in entries)
    return BenchmarkResult(
        spec=spec,
        environment=environment,
        subjects=samples,
        ratios=paired_ratios(samples),
        skipped=skipped,
    )


@dataclass
class _Entry:
    """A subject with its process, and what was measured of it so far."""

    subject: BenchSubject
    process: Process
    samples: Path
    load_ns: int
    first_run_ns: int
    warmup_runs: int
    logits: Array
    rounds: list[tuple[int, ...]] = field(default_factory=list)


def _prepare(
    subject: BenchSubject, spec: BenchSpec, folder: Path, start: Start, stack: ExitStack
) -> _Entry:
    samples = _samples_file(subject, spec, folder)
    with ExitStack() as own:  # ends the process at once when its model can't be loaded
        process = own.enter_context(start(subject, folder))
        entry = _Entry(
            subject=subject,
            process=process,
            samples=samples,
            load_ns=process.load(subject, samples),
            first_run_ns=process.first_run(),
            warmup_runs=process.warm_up(spec.warmup_seconds),
            logits=process.logits(),
        )
        stack.push(own.pop_all())
    return entry


def _samples_file(subject: BenchSubject, spec: BenchSpec, folder: Path) -> Path:
    """Write the images that ``subject`` gets: noise, the same for the same shape and type.

    There are 8 of them for parity, rounded up to whole batches; the first batch is timed.
    """
    shape = "x".join(str(size) for size in subject.input_shape)
    file = folder / f"samples-{shape}-{subject.input_dtype}.npy"
    if not file.exists():
        count = -(-_PARITY_SAMPLES // spec.batch_size) * spec.batch_size
        generator = np.random.default_rng(spec.seed)
        size = (count, *subject.input_shape)
        if np.issubdtype(np.dtype(subject.input_dtype), np.integer):
            array: Array = generator.integers(0, 256, size).astype(subject.input_dtype)
        else:
            array = generator.standard_normal(size, np.float32).astype(subject.input_dtype)
        np.save(file, array, allow_pickle=False)
    return file


def _run_rounds(entries: list[_Entry], spec: BenchSpec, progress: Progress, clock: Clock) -> None:
    begin = clock()
    # What one run of each takes decides how many fit in the time limit.
    pilot_ns = sum(min(entry.process.run(1)) for entry in entries)
    affordable = spec.time_limit * 1e9 / (spec.rounds * max(1, pilot_ns)) - 1  # 1 is not timed
    runs = max(1, min(spec.runs_per_round, int(affordable)))
    shuffle = random.Random(spec.seed).sample
    for number in range(spec.rounds):
        if number >= FEWEST_ROUNDS and clock() - begin > spec.time_limit * 1e9:
            break
        progress("measure", number, spec.rounds)
        for entry in shuffle(entries, len(entries)):
            entry.rounds.append(tuple(entry.process.run(runs)))
    progress("measure", spec.rounds, spec.rounds)


def _finish(entry: _Entry, first: _Entry) -> BenchSamples:
    logits, same = _parity(entry, first)
    return BenchSamples(
        subject=entry.subject,
        rounds_ns=tuple(entry.rounds),
        warmup_runs=entry.warmup_runs,
        load_ns=entry.load_ns,
        first_run_ns=entry.first_run_ns,
        peak_rss_bytes=entry.process.peak_rss_bytes(),
        file_bytes=Path(entry.subject.model).stat().st_size,
        logits=logits,
        top1_equal=same,
    )


def _parity(entry: _Entry, first: _Entry) -> tuple[OutputDiff | None, tuple[bool, ...]]:
    same_input = entry.samples == first.samples
    if entry is first or not same_input or entry.logits.shape != first.logits.shape:
        return None, ()
    diff = difference("logits", first.logits, entry.logits)
    return diff, top1_equal(first.logits, entry.logits)
