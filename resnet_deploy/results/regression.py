"""Two benchmarks of different days: is the later one slower?"""

from __future__ import annotations

import enum
import math
import statistics
from dataclasses import dataclass

from resnet_deploy.results.base import Result
from resnet_deploy.results.closeness import apart
from resnet_deploy.results.interval import Estimated, difference_interval, of_logarithms


class ChangeVerdict(str, enum.Enum):
    """What the interval of a slowdown says about the limit."""

    REGRESSION = "regression"
    UNCLEAR = "can't be told"
    FINE = "no regression"
    FASTER = "faster"


@dataclass(frozen=True, kw_only=True)
class Change(Estimated):
    """How one subject's cost of an image changed.

    ``before`` and ``after`` hold one cost per process (per round where the processes were never
    started anew: ``by_process`` is False then), in nanoseconds, or as a share of what the
    reference took in the same process. Rounds of different runs can't be paired, so the interval
    is Welch's on logarithms: the spread within both runs is in it, a change of the machine
    between them is not, unless a reference takes it out.
    """

    DERIVED = ("slowdown", "low", "high", "confidence", "verdict")

    subject: str
    batch_size: int
    threads: int
    instances: int
    throughput: bool
    max_regress: float
    by_process: bool
    before: tuple[float, ...]
    after: tuple[float, ...]

    @property
    def slowdown(self) -> float:
        """After over before, of geometric means: 1.05 is 5 % slower."""
        return statistics.geometric_mean(self.after) / statistics.geometric_mean(self.before)

    @property
    def verdict(self) -> ChangeVerdict:
        """A regression only when the whole interval is beyond the limit."""
        limit = 1 + self.max_regress
        if self.low > limit:
            return ChangeVerdict.REGRESSION
        if self.high > limit:
            return ChangeVerdict.UNCLEAR
        return ChangeVerdict.FASTER if self.high < 1 else ChangeVerdict.FINE

    @property
    def interval(self) -> tuple[float, float]:
        """The confidence interval of the slowdown."""
        if min(len(self.before), len(self.after)) < 2:
            return 0.0, math.inf
        before, after = ([math.log(cost) for cost in costs] for costs in (self.before, self.after))
        return of_logarithms(difference_interval(before, after))


@dataclass(frozen=True, kw_only=True)
class RegressionReport(Result):
    """Every subject that both runs measured, and in what else the runs differ.

    ``relative_to`` is the subject whose own change was taken out, or None. ``unmatched`` are the
    subjects of one run only, ``differences`` what makes the runs hard to compare.
    """

    DERIVED = ("passed",)

    old: str
    new: str
    max_regress: float
    relative_to: str | None
    changes: tuple[Change, ...]
    unmatched: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no subject got slower beyond doubt; one that can't be told does not fail."""
        return not self._slower

    @property
    def _slower(self) -> list[Change]:
        return [change for change in self.changes if change.verdict is ChangeVerdict.REGRESSION]

    def _failure(self) -> str:
        found = []
        for change in self._slower:
            least, allowed = apart(change.low - 1, self.max_regress, "1%")
            found.append(f"{change.subject} is at least {least} slower, more than {allowed}")
        return "; ".join(found)
