"""Every combination of batch sizes, threads and instances, one benchmark each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

from resnet_deploy.artifact.onnx_file import Artifact
from resnet_deploy.benchmark.measure import measure
from resnet_deploy.benchmark.profiling import profile_subjects, profiled
from resnet_deploy.benchmark.subjects import default_subjects, natural_batch_size
from resnet_deploy.progress import Progress, silent
from resnet_deploy.results import BenchmarkResult, Environment
from resnet_deploy.spec import BenchSpec


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
        results.append(result)
        if on_result is not None:
            on_result(result)
    return tuple(results)
