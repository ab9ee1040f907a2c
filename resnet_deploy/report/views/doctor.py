"""What this machine can run: one screen, and everything that was found below it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from resnet_deploy.report.document import Document, Notes, Section, Table
from resnet_deploy.report.words import versions
from resnet_deploy.results import Diagnosis

_COLUMNS = 74
"""Of a line, so that it fits into 80 with what stands in front of it."""

_TO_INSTALL = re.compile(r"not installed: ([^;]+)$")
"""The problem of a runner that one command solves."""


def view(diagnosis: Diagnosis) -> Document:
    """Return what is fast here and what is missing; what was looked for and found is detail."""
    table = Table.of(
        "What this machine can run",
        _rows(diagnosis),
        [("what", lambda row: row[0]), ("found", lambda row: row[1])],
        words=2,
    )
    return Document(
        topic="Doctor",
        title=diagnosis.environment.cpu,
        sections=(
            Section("In short", (Notes(tuple(_screen(diagnosis))),)),
            Section("This machine", (table,), detail=True),
        ),
        environment=diagnosis.environment,
    )


def _screen(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield 24 lines at most, whatever is missing."""
    env = diagnosis.environment
    memory = f"{diagnosis.available_bytes / 1e9:.1f} of {diagnosis.memory_bytes / 1e9:.1f} GB free"
    cores = f"{env.cores} core{'s' * (env.cores != 1)} to use, {memory}"
    yield _short(f"{env.cpu}: {cores}") if len(env.cpu) < _COLUMNS // 2 else _short(env.cpu)
    yield "fast here" if diagnosis.vnni else "what to expect here"
    ready = [runner.name for runner in diagnosis.runners if not runner.problem]
    kernels = [f"{name} ({how})" for name, how in diagnosis.isas.items() if how in _RUN]
    yield from _item(f"int8: {diagnosis.int8}")
    yield from _item(f"runners: {', '.join(ready) or 'none'}")
    yield from _item(f"kernels that verify --isa runs: {', '.join(kernels) or 'none'}")
    wanted = _wanted(diagnosis)
    yield "missing" if wanted else "nothing is missing"
    for command, names in wanted.items():
        mended = command.startswith(("pip ", "resnet-deploy "))
        yield "  " + _short(", ".join(names) if mended else f"{', '.join(names)}: {command}")
        if mended:
            yield f"    $ {command}"
    yield "more, with versions and vector extensions: resnet-deploy doctor -v"


_RUN = ("this CPU", "emulated")


def _wanted(diagnosis: Diagnosis) -> dict[str, list[str]]:
    """Return what is missing by the command that installs it, or by what is wrong without one."""
    found: dict[str, list[str]] = {}
    for missing in diagnosis.missing:
        found.setdefault(missing.install, []).append(f"{missing.package} ({missing.needed_for})")
    for runner in diagnosis.runners:
        if runner.problem:
            command = _TO_INSTALL.match(runner.problem)
            what = command[1] if command else runner.problem
            found.setdefault(what, []).append(f"runner {runner.name}")
    return found


def _item(text: str) -> list[str]:
    lines = textwrap.wrap(text, _COLUMNS - 4, max_lines=2, placeholder=" …")
    return [f"  {lines[0]}", *(f"    {line}" for line in lines[1:])]


def _short(text: str) -> str:
    return textwrap.shorten(text, _COLUMNS, placeholder=" …")


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
