"""Tying processes to CPUs: one per physical core, none of them shared."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from resnet_deploy.errors import SpecError
from resnet_deploy.runners.cpu import one_cpu_per_core


def reserve(threads: int, instances: int = 1, root: Path = Path("/")) -> tuple[int, ...]:
    """Return a logical CPU for each of ``threads`` threads of ``instances`` processes.

    Each is on a physical core of its own: two hyperthreads of a core share its vector units.

    Raises:
        SpecError: there are too few cores, or the system has no affinity.
    """
    import psutil

    if not hasattr(psutil.Process, "cpu_affinity"):  # as on macOS
        raise SpecError("this system can't tie a process to CPUs: leave out --pin")
    cpus = one_cpu_per_core(root)
    wanted = threads * instances
    if wanted > len(cpus):
        raise SpecError(
            f"--pin: {instances} x {threads} threads need {wanted} physical cores, and this "
            f"process may use {len(cpus)}: use fewer --threads or --instances"
        )
    return cpus[:wanted]


def tie(pid: int, cpus: tuple[int, ...]) -> None:
    """Tie the process ``pid`` to ``cpus``; the threads that it starts from now on inherit it."""
    import psutil

    process = psutil.Process(pid)
    with suppress(psutil.NoSuchProcess):  # it has ended, which its first answer tells
        process.cpu_affinity(list(cpus))
