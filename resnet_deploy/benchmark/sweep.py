"""Every combination of batch sizes, threads and instances: a benchmark each, and its profiles."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.unfinished import scratch_folder
from resnet_deploy.benchmark.measure import measure
from resnet_deploy.benchmark.samples import samples_for
from resnet_deploy.benchmark.subjects import default_subjects, natural_batch_size
from resnet_deploy.errors import SpecError
from resnet_deploy.progress import Progress, silent
from resnet_deploy.results import BenchmarkResult, BenchSamples, BenchSubject, Environment, Profile
from resnet_deploy.spec import BenchSpec, SessionSpec

PROFILED_RUNNERS = ("ort",)
"""Runners whose runtime has a profiler by operator that this tool reads."""


def sweep(
    artifacts: Sequence[Artifact],
    runners: Sequence[str],
    spec: BenchSpec,
    *,
    batch_sizes: Sequence[int] = (),
    threads: Sequence[int] = (),
    instances: Sequence[int] = (),
    session_options: tuple[tuple[str, str], ...] = (),
    profile: bool = False,
    environment: Environment,
    progress: Progress = silent,
    on_result: Callable[[BenchmarkResult], None] | None = None,
) -> tuple[BenchmarkResult, ...]:
    """Measure ``artifacts`` on ``runners`` in every combination; all are checked before the first.

    Args:
        artifacts: the files.
        runners: names; empty takes the usual ones, and leaves out what is not installed.
        spec: all but the following three.
        batch_sizes: empty takes what the first fixed file needs, or 1.
        threads: empty takes the physical cores allowed here.
        instances: empty takes one.
        session_options: of the runtimes.
        profile: also the time of each operator.
        environment: where this runs.
        progress: told about every stage.
        on_result: called with each benchmark when it is measured.

    Raises:
        ResnetDeployError: a combination can't be measured.
    """
    combinations = itertools.product(
        batch_sizes or (natural_batch_size(artifacts),), threads or (0,), instances or (1,)
    )
    plans = []
    for batch_size, count, at_once in combinations:
        own = replace(spec, batch_size=batch_size, threads=count, instances=at_once)
        subjects = default_subjects(artifacts, runners, own, session_options)
        if profile:
            profiled(subjects)
        plans.append((subjects, own))
    results = []
    for subjects, own in plans:
        result = measure(
            subjects, own, environment=environment, progress=progress, required=bool(runners)
        )
        if profile:
            result = replace(result, profiles=profile_subjects(subjects, own, progress))
        result = replace(
            result, subjects=tuple(_as_named(each, artifacts) for each in result.subjects)
        )
        results.append(result)
        if on_result is not None:
            on_result(result)
    return tuple(results)


def _as_named(samples: BenchSamples, artifacts: Sequence[Artifact]) -> BenchSamples:
    """Return ``samples`` of a file as its user named it, whatever copy of it was run."""
    subject = samples.subject
    names = {str(artifact.plain): str(artifact.path) for artifact in artifacts}
    named = names.get(subject.model, subject.model)
    return replace(samples, subject=replace(subject, model=named))


def profiled(subjects: Sequence[BenchSubject]) -> list[BenchSubject]:
    """Return those of ``subjects`` that can be profiled.

    Raises:
        SpecError: none of them can.
    """
    able = [subject for subject in subjects if subject.runner in PROFILED_RUNNERS]
    if not able:
        labels = ", ".join(subject.label for subject in subjects)
        raise SpecError(
            f"--profile: no operator times from {labels}: only the runner ort tells them"
        )
    return able


def profile_subjects(
    subjects: Sequence[BenchSubject], spec: BenchSpec, progress: Progress = silent
) -> tuple[Profile, ...]:
    """Profile those of ``subjects`` that run on ONNX Runtime's CPU provider, one by one.

    Raises:
        SpecError: none of them does.
        RunnerError: ONNX Runtime refuses a file.
    """
    from resnet_deploy.measure.operator_times import profile_operators

    able = profiled(subjects)
    profiles = []
    with scratch_folder() as folder:
        for number, subject in enumerate(able):
            progress("profile", number, len(able))
            samples = np.load(samples_for(subject, spec, folder).file, allow_pickle=False)
            operators = profile_operators(
                Path(subject.model),
                np.ascontiguousarray(samples[: subject.batch_size]),
                SessionSpec(threads=subject.threads, options=subject.session_options),
            )
            profiles.append(
                Profile(
                    subject=subject.label,
                    batch_size=subject.batch_size,
                    threads=subject.threads,
                    operators=operators,
                )
            )
        progress("profile", len(able), len(able))
    return tuple(profiles)
