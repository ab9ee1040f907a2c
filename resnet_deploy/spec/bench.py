"""How to measure."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_deploy.errors import SpecError

_LEAST = {
    **dict.fromkeys(("batch_size", "rounds", "runs_per_round", "rounds_per_process"), 1),
    **dict.fromkeys(("instances", "cold_starts"), 1),
    **dict.fromkeys(("threads", "warmup_seconds"), 0),
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
        SpecError: a count or a time is too small to measure anything, or there are several
            instances without ``throughput``.
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
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise SpecError(f"{name} must be at least {least}, not {getattr(self, name):g}")
        for name in ("time_limit", "precision", "slice_seconds"):
            if getattr(self, name) <= 0:
                raise SpecError(f"{name} must be positive, not {getattr(self, name):g}")
        if self.instances > 1 and not self.throughput:
            raise SpecError(
                f"{self.instances} instances measure throughput, not latency: use --throughput"
            )
