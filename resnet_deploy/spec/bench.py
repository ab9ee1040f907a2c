"""How to measure."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_deploy.errors import SpecError


@dataclass(frozen=True, kw_only=True)
class BenchSpec:
    """How to measure: each subject in its own process, interleaved in rounds.

    ``threads`` 0 means the physical cores allowed here. ``time_limit`` is in seconds, for all
    rounds together: where it is too short, rounds get fewer runs, then there are fewer rounds.

    Raises:
        SpecError: a count or a time is too small to measure anything.
    """

    batch_size: int = 1
    threads: int = 0
    rounds: int = 10
    runs_per_round: int = 10
    warmup_seconds: float = 1.0
    time_limit: float = 20.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.rounds < 1 or self.runs_per_round < 1:
            raise SpecError(
                f"nothing to measure: batch size {self.batch_size}, {self.rounds} rounds of "
                f"{self.runs_per_round} runs; each must be at least 1"
            )
        if self.threads < 0 or self.warmup_seconds < 0 or self.time_limit <= 0:
            raise SpecError(
                f"{self.threads} threads, {self.warmup_seconds} s of warm-up and a time limit "
                f"of {self.time_limit} s: none may be negative, and the limit must be positive"
            )
