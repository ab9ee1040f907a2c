"""How to measure."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_deploy.errors import SpecError
from resnet_deploy.spec.bounds import (
    MOST_AT_ONCE,
    MOST_INPUT_VALUES,
    MOST_SECONDS,
    check_range,
)

_RANGES = {
    "batch_size": (1, MOST_INPUT_VALUES),
    **dict.fromkeys(("rounds", "runs_per_round", "rounds_per_process"), (1, 1_000_000)),
    "cold_starts": (1, 10_000),
    "instances": (1, MOST_AT_ONCE),
    "threads": (0, MOST_AT_ONCE),
    **dict.fromkeys(("warmup_seconds", "time_limit", "slice_seconds"), (0, MOST_SECONDS)),
    "precision": (0, 1),
}


@dataclass(frozen=True, kw_only=True)
class BenchSpec:
    """How to measure: each subject in its own process, interleaved in rounds.

    ``threads`` 0 means the physical cores allowed here. ``rounds`` is the most rounds there are;
    after each ``rounds_per_process`` of them all processes are started anew. Measuring ends
    earlier when the interval of every ratio is within ``precision`` of its middle (0.02 is 2 %),
    or after ``time_limit`` seconds, loading included: where that is too short, rounds get fewer
    runs, then there are fewer rounds.

    ``pin`` ties each process to CPUs of its own, one per physical core. With ``throughput``,
    ``instances`` processes of a subject run at once in slices of ``slice_seconds``, and ratios
    are of images per second. ``cold_starts`` is how often each subject is started to measure
    that.

    Raises:
        SpecError: a count or a time is too small to measure anything, or larger than can be
            meant, or there are several instances without ``throughput``.
    """

    batch_size: int = 1
    threads: int = 0
    rounds: int = 60
    runs_per_round: int = 10
    rounds_per_process: int = 3
    warmup_seconds: float = 1.0
    time_limit: float = 20.0
    precision: float = 0.02
    pin: bool = False
    throughput: bool = False
    instances: int = 1
    slice_seconds: float = 0.3
    cold_starts: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            check_range(self, name, least, most)
        for name in ("time_limit", "precision", "slice_seconds"):
            if getattr(self, name) == 0:
                raise SpecError(f"{name} must be positive, not 0")
        if self.instances > 1 and not self.throughput:
            raise SpecError(
                f"{self.instances} instances measure throughput, not latency: use --throughput"
            )
