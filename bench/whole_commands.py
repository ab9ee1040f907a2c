"""Whole commands of two source trees in turn: seconds on the clock, of all cores, and memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent.parent


@dataclass(frozen=True)
class Run:
    """One command from its start to its end.

    ``seconds`` on the clock, ``core_seconds`` of all cores together, those of its own processes as
    well; ``peak_mb`` is the most memory that one of them had.
    """

    seconds: float
    core_seconds: float
    peak_mb: float


def run(tree: Path, arguments: Sequence[str], codes: Sequence[int] = (0,)) -> Run:
    """Run ``resnet-deploy`` of the source tree ``tree``, which has this interpreter's packages.

    Raises:
        SystemExit: it ended with another code than one of ``codes``.
    """
    command = [sys.executable, "-m", "resnet_deploy", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    start = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=tree, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None, "it is a pipe"
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in codes:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {said.decode()}")
    return Run(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def in_turn(
    trees: Mapping[str, Path],
    commands: Mapping[str, Sequence[str]],
    rounds: int,
    codes: Sequence[int] = (0,),
) -> list[dict[str, Any]]:
    """Return all runs of every command on every tree, except for a first round, which reads files.

    The trees take turns within a round, and the second goes first in every other one.
    """
    found: list[dict[str, Any]] = []
    for number in range(rounds + 1):
        order = list(trees) if number % 2 else list(trees)[::-1]
        for name, arguments in commands.items():
            for tree in order:
                done = run(trees[tree], arguments, codes)
                if number:
                    found.append({"command": name, "tree": tree, "round": number, **asdict(done)})
    return found


def middle(runs: Sequence[Mapping[str, Any]], command: str, tree: str, figure: str) -> float:
    """Return the median of ``figure`` over the runs of ``command`` on ``tree``."""
    return statistics.median(
        float(one[figure]) for one in runs if (one["command"], one["tree"]) == (command, tree)
    )


def show(runs: Sequence[Mapping[str, Any]], trees: Sequence[str], commands: Sequence[str]) -> None:
    """Print medians."""
    table = Table("command", "tree", "seconds", "core seconds", "peak MB")
    for command in commands:
        for tree in trees:
            seconds, cores, peak = (
                middle(runs, command, tree, figure)
                for figure in ("seconds", "core_seconds", "peak_mb")
            )
            table.add_row(command, tree, f"{seconds:.1f}", f"{cores:.1f}", f"{peak:.0f}")
    Console().print(table)
