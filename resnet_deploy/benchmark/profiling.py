"""The time of each operator of the subjects whose runtime tells it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from resnet_deploy.benchmark.samples import samples_for
from resnet_deploy.errors import SpecError
from resnet_deploy.progress import Progress, silent
from resnet_deploy.results import BenchSubject
from resnet_deploy.results.operator_times import Profile
from resnet_deploy.spec import BenchSpec, SessionSpec

PROFILED_RUNNERS = ("ort",)
"""Runners whose runtime has a profiler by operator that this tool reads."""


def profiled(subjects: Sequence[BenchSubject]) -> list[BenchSubject]:
    """Return those of ``subjects`` that can be profiled.

    Raises:
        SpecError: none of them can.
    """
    able = [subject for subject in subjects if subject.runner in PROFILED_RUNNERS]
    if not able:
        raise SpecError(
            f"--profile: no operator times from {', '.join(one.label for one in subjects)}: "
            "only the runner ort tells them"
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
    with tempfile.TemporaryDirectory(prefix="resnet-deploy-") as folder:
        for number, subject in enumerate(able):
            progress("profile", number, len(able))
            samples = np.load(samples_for(subject, spec, Path(folder)).file, allow_pickle=False)
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
