"""Subjects of a benchmark."""

from __future__ import annotations

from pathlib import Path

from resnet_deploy.results import BenchSubject


def subject(path: Path, runner: str = "ort") -> BenchSubject:
    return BenchSubject(
        label="mine",
        runner=runner,
        model=str(path),
        precision="fp32",
        input_shape=(3, 8, 8),
        input_dtype="float32",
        batch_size=2,
        threads=1,
    )
