"""How many processes, rounds and runs fit in the time limit, and when to stop.

When measuring ends depends on the clock and on how wide the intervals are, never on what they
say: stopping as soon as a difference shows would find one between equal subjects sooner or later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from resnet_deploy.results import Ratio
from resnet_deploy.results.interval import FEWEST_PROCESSES
from resnet_deploy.spec import BenchSpec

FEWEST_ROUNDS = 8
"""Below 8 rounds no 99 % interval of a median exists; a time limit doesn't go below."""

FEWEST_TO_STOP = 6
"""Processes before the width of the intervals may end it.

Where a process is either lucky or not, fewer of them may agree by chance and look precise.
"""

_AIM = 6
_STARTING_SHARE = 0.65


@dataclass(frozen=True)
class Schedule:
    """``sizes[p]`` rounds in the p-th process of each subject, of ``runs`` timed runs each."""

    sizes: tuple[int, ...]
    runs: int


def plan(spec: BenchSpec, start_ns: int, round_ns: int) -> Schedule:
    """Return how to spend the time limit.

    Args:
        spec: what was asked for.
        start_ns: what starting, loading and warming up all subjects once more would take.
        round_ns: what a round with one run per subject takes; with throughput, a round.
    """
    limit = spec.time_limit * 1e9
    count = spec.rounds // spec.rounds_per_process
    least_ns = start_ns + 2 * round_ns * min(spec.rounds_per_process, 2)
    if count < FEWEST_PROCESSES or FEWEST_PROCESSES * least_ns > limit:
        return Schedule((spec.rounds,), _runs(spec, limit, spec.rounds, round_ns))
    # Few processes leave a wide interval, short rounds a noisy one: about a third of the time
    # goes into rounds where starting is slow, and more where it is fast.
    processes = int(_STARTING_SHARE * limit / max(1, start_ns))
    processes = min(count, max(FEWEST_PROCESSES, min(processes, _AIM)))
    budget = limit - processes * start_ns
    runs = _runs(spec, budget, processes * spec.rounds_per_process, round_ns)
    each, more = divmod(spec.rounds, count)
    return Schedule(tuple(each + (number < more) for number in range(count)), runs)


def _runs(spec: BenchSpec, budget_ns: float, rounds: int, round_ns: int) -> int:
    affordable = budget_ns / (rounds * max(1, round_ns)) - 1  # 1 is not timed
    return max(1, min(spec.runs_per_round, int(affordable)))


def may_stop(ratios: Sequence[Ratio], processes: int, precision: float) -> bool:
    """Return whether every ratio is known to ``precision``, from enough processes to say so."""
    return (
        processes >= FEWEST_TO_STOP
        and bool(ratios)
        and all(ratio.precision <= precision for ratio in ratios)
    )
