"""How to measure."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_deploy.errors import SpecError


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
        if self.batch_size < 1 or self.rounds < 1 or self.runs_per_round < 1:
            raise SpecError(
                f"nothing to measure: batch size {self.batch_size}, {self.rounds} rounds of "
                f"{self.runs_per_round} runs; each must be at least 1"
            )
        if self.rounds_per_process < 1 or self.instances < 1 or self.cold_starts < 1:
            raise SpecError(
                f"nothing to measure: {self.rounds_per_process} rounds per process, "
                f"{self.instances} instances, {self.cold_starts} cold starts; each must be at "
                "least 1"
            )
        if self.threads < 0 or self.warmup_seconds < 0 or self.time_limit <= 0:
            raise SpecError(
                f"{self.threads} threads, {self.warmup_seconds} s of warm-up and a time limit "
                f"of {self.time_limit} s: none may be negative, and the limit must be positive"
            )
        if self.precision <= 0 or self.slice_seconds <= 0:
            raise SpecError(
                f"a precision of {self.precision:g} and slices of {self.slice_seconds} s: both "
                "must be positive"
            )
        if self.instances > 1 and not self.throughput:
            raise SpecError(
                f"{self.instances} instances measure throughput, not latency: use --throughput"
            )
