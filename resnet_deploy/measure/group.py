"""Several processes of one subject that run at the same time: throughput."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

from resnet_deploy.arrays import Array
from resnet_deploy.measure.stopwatch import Process
from resnet_deploy.processes.engine import at_once
from resnet_deploy.results import BenchSubject


class ProcessGroup(ExitStack):
    """Implements ``stopwatch.Process`` with several processes that do the same at once."""

    def __init__(self, members: Sequence[Process]) -> None:
        super().__init__()
        self._members = members

    def load(self, subject: BenchSubject, samples: Path) -> int:
        """Load all at once, and return the longest time of one."""
        return max(at_once(lambda member: member.load(subject, samples), self._members))

    def first_run(self) -> int:
        """Run all at once, and return the longest time of one."""
        return max(at_once(lambda member: member.first_run(), self._members))

    def warm_up(self, seconds: float) -> int:
        """Warm all up at once, and return the runs of the one that took most."""
        return max(at_once(lambda member: member.warm_up(seconds), self._members))

    def run(self, count: int) -> list[int]:
        """Return the runs of all, which ran at once."""
        return list(chain(*at_once(lambda member: member.run(count), self._members)))

    def saturate(self, seconds: float) -> list[list[int]]:
        """Return the runs of each, which ran at once."""
        return list(chain(*at_once(lambda member: member.saturate(seconds), self._members)))

    def logits(self) -> Array:
        """Return those of the first."""
        return self._members[0].logits()

    def peak_rss_bytes(self) -> int:
        """Return the sum of what each had resident at most."""
        return sum(member.peak_rss_bytes() for member in self._members)

    def __enter__(self) -> ProcessGroup:
        for member in self._members:
            self.enter_context(member)
        return self
