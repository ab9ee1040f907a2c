"""What this machine can run."""

from __future__ import annotations

from resnet_deploy.report.document import Document, Section, Table
from resnet_deploy.report.words import versions
from resnet_deploy.results import Diagnosis


def view(diagnosis: Diagnosis) -> Document:
    """Return what was looked for, and what was found."""
    table = Table.of(
        "What this machine can run",
        _rows(diagnosis),
        [("what", lambda row: row[0]), ("found", lambda row: row[1])],
        words=2,
    )
    return Document(
        topic="Doctor",
        title=diagnosis.environment.cpu,
        sections=(Section("This machine", (table,)),),
        environment=diagnosis.environment,
    )


def _rows(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    env = diagnosis.environment
    quota = "no cgroup quota" if diagnosis.quota is None else f"cgroup quota {diagnosis.quota:g}"
    return [
        ("CPU", env.cpu),
        ("vector extensions", " ".join(env.isa) or "none that matter"),
        ("int8", diagnosis.int8),
        (
            "cores to use",
            f"{env.cores} ({diagnosis.physical_cores} physical of {diagnosis.allowed_cpus} "
            f"logical CPUs allowed, {quota})",
        ),
        (
            "memory",
            f"{diagnosis.memory_bytes / 1e9:.1f} GB, "
            f"{diagnosis.available_bytes / 1e9:.1f} GB available",
        ),
        ("system", f"{env.os}, Python {env.python}"),
        ("versions", versions(env.versions)),
        ("execution providers", ", ".join(diagnosis.execution_providers)),
        *((f"runner {runner.name}", runner.problem or "ready") for runner in diagnosis.runners),
        ("kernels for --isa", "; ".join(f"{name}: {how}" for name, how in diagnosis.isas.items())),
        *(
            (f"missing: {missing.package}", f"needed for {missing.needed_for}: {missing.install}")
            for missing in diagnosis.missing
        ),
    ]
