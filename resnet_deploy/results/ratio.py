"""How much faster one subject of a benchmark is than another, and how certainly."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from resnet_deploy.results.interval import (
    CONFIDENCE,
    FEWEST_PROCESSES,
    ONE_PROCESS_LUCK,
    Estimated,
    mean_interval,
    median_interval,
    of_logarithms,
)


@dataclass(frozen=True, kw_only=True)
class Ratio(Estimated):
    """How many times faster a subject is than the reference: paired, round by round.

    ``rounds[r]`` is the reference's median run of round r over the subject's (with throughput:
    the subject's images per second over the reference's); ``minima`` is the same of the fastest
    runs of all rounds. ``processes`` is that of :class:`BenchSamples`.

    Two processes of the same file differ lastingly, by where their memory lies: so the process is
    the sampling unit, and more rounds in it don't narrow the interval below that. From 4
    processes on, the interval is Student's over the logarithms of each one's median round. One
    process alone leaves the interval of the median round, made 3 % wider on both sides for a luck
    that it can't see. Both are at 99 %.

    Source: T. Kalibera, R. Jones, Rigorous Benchmarking in Reasonable Time, ISMM 2013.
    """

    DERIVED = ("median", "low", "high", "confidence", "differs")

    subject: str
    reference: str
    rounds: tuple[float, ...]
    minima: float
    processes: tuple[int, ...] = ()

    @property
    def by_process(self) -> tuple[float, ...]:
        """The median round of each process."""
        return group_medians(self.rounds, self.processes)

    @property
    def median(self) -> float:
        """The median round, or the geometric mean of the processes' median rounds."""
        if self._many:
            return math.exp(statistics.fmean(self._logs))
        return statistics.median(self.rounds)

    @property
    def differs(self) -> bool:
        """False when the interval contains 1: no difference can be told."""
        return not self.low <= 1 <= self.high

    @property
    def precision(self) -> float:
        """Half the interval's width as a share of its middle; infinite when it has no end."""
        low, high = self.interval
        return (high - low) / (high + low) if math.isfinite(high) else math.inf

    @property
    def _many(self) -> bool:
        return len(self.processes) >= FEWEST_PROCESSES

    @property
    def _logs(self) -> list[float]:
        return [math.log(median) for median in self.by_process]

    @property
    def interval(self) -> tuple[float, float]:
        """The confidence interval of the median."""
        if not self._many:
            low, high = median_interval(self.rounds, CONFIDENCE)
            return low / ONE_PROCESS_LUCK, high * ONE_PROCESS_LUCK
        return of_logarithms(mean_interval(self._logs))


def group_medians(rounds: Sequence[float], processes: Sequence[int]) -> tuple[float, ...]:
    """Return the median of the rounds of each process; of all of them without ``processes``."""
    medians, start = [], 0
    for count in processes or (len(rounds),):
        medians.append(statistics.median(rounds[start : start + count]))
        start += count
    return tuple(medians)
