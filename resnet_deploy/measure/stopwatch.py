"""Timing one open runner: first run, warm-up, rounds, and its logits for comparison."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.collection import without_collection
from resnet_deploy.results import BenchSubject
from resnet_deploy.runners.base import Runner

Clock = Callable[[], int]
"""Nanoseconds since some moment, never going back."""

_FEWEST = 3
_WINDOW = 5
_STABLE = 0.02


class Process(AbstractContextManager["Process"], Protocol):
    """One subject of a benchmark, usually in a process of its own."""

    def load(self, subject: BenchSubject, samples: Path) -> int:
        """Open the model, and return the nanoseconds that took its runtime.

        ``samples`` is a ``.npy`` file of images, a multiple of the batch size.
        """

    def first_run(self) -> int:
        """Run once and return the nanoseconds: allocation and lazy set-up included."""

    def warm_up(self, seconds: float) -> int:
        """Run until stable, at most for ``seconds``, and return how many runs that took."""

    def run(self, count: int) -> list[int]:
        """Run once untimed, then ``count`` times, and return the nanoseconds of each."""

    def saturate(self, seconds: float) -> list[list[int]]:
        """Run once untimed, then without a pause for ``seconds``.

        Return the nanoseconds of each run, one list per instance; at least one run each.
        """

    def logits(self) -> Array:
        """Return the output for every sample, ``(samples, classes)``."""

    def peak_rss_bytes(self) -> int:
        """Return the most memory the process ever had resident."""


class Stopwatch:
    """Times ``runner`` on the first ``batch_size`` images of ``samples``.

    The batch is prepared once; a timed run is one call of ``runner.infer`` and nothing else.
    """

    def __init__(
        self,
        runner: Runner,
        samples: Array,
        batch_size: int,
        clock: Clock = time.perf_counter_ns,
    ) -> None:
        self._runner = runner
        self._samples = samples
        self._batch_size = batch_size
        self._batch = np.ascontiguousarray(samples[:batch_size])
        self._clock = clock

    def first_run(self) -> int:
        """See :meth:`Process.first_run`."""
        return self._time_one()

    def warm_up(self, seconds: float) -> int:
        """See :meth:`Process.warm_up`.

        Stable means that the medians of the last two windows of 5 runs are within 2 %. There
        are 3 runs at least, however long they take.
        """
        taken: list[int] = []
        end = self._clock() + int(seconds * 1e9)
        while len(taken) < _FEWEST or (self._clock() < end and not _is_stable(taken)):
            taken.append(self._time_one())
        return len(taken)

    def run(self, count: int) -> list[int]:
        """See :meth:`Process.run`.

        The untimed run refills the caches that another subject has used since the last round.
        """
        self._runner.infer(self._batch)
        with without_collection():
            return [self._time_one() for _ in range(count)]

    def saturate(self, seconds: float) -> list[list[int]]:
        """See :meth:`Process.saturate`; this is one instance."""
        self._runner.infer(self._batch)
        end = self._clock() + int(seconds * 1e9)
        with without_collection():
            taken = [self._time_one()]
            while self._clock() < end:
                taken.append(self._time_one())
        return [taken]

    def logits(self) -> Array:
        """See :meth:`Process.logits`."""
        size = self._batch_size
        pieces = [
            self._runner.infer(np.ascontiguousarray(self._samples[start : start + size]))
            for start in range(0, len(self._samples), size)
        ]
        return np.concatenate(pieces)

    def _time_one(self) -> int:
        start = self._clock()
        self._runner.infer(self._batch)
        return self._clock() - start


def take_turns(
    watches: Sequence[Stopwatch], *, rounds: int, seconds: float, most_runs: int
) -> list[tuple[int, ...]]:
    """Return per watch the fastest run of each round, in nanoseconds; all run in every round.

    Rounds together last about ``seconds``, each with ``most_runs`` runs per watch at most.
    """
    # The last of a few runs: the first ones allocate.
    once = sum(watch.run(2)[-1] for watch in watches)
    runs = min(max(1, int(seconds * 1e9 / (rounds * once))), most_runs)
    taken = [[min(watch.run(runs)) for watch in watches] for _ in range(rounds)]
    return list(zip(*taken, strict=True))


def _is_stable(taken: list[int]) -> bool:
    if len(taken) < 2 * _WINDOW:
        return False
    before = statistics.median(taken[-2 * _WINDOW : -_WINDOW])
    now = statistics.median(taken[-_WINDOW:])
    return abs(now - before) <= _STABLE * before


def peak_rss_bytes() -> int:
    """Return the most memory that this process ever had resident."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    if sys.platform == "linux":
        # Not ru_maxrss: it survives exec, so a child starts with the peak of its parent.
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB
