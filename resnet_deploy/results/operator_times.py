"""Where the time of a run goes, operator by operator."""

from __future__ import annotations

import enum
import statistics
from dataclasses import dataclass


class OperatorKind(str, enum.Enum):
    """What an operator works on; ``conversion`` changes type or layout and computes nothing."""

    INT8 = "int8"
    FLOAT = "float"
    CONVERSION = "conversion"


@dataclass(frozen=True, kw_only=True)
class OperatorTime:
    """One operator that the runtime really ran, after its own optimisations.

    ``module`` is the torch module of its main part; an operator that the runtime put in has that
    of the operator in front of it. ``kernel`` is the runtime's name of what ran. ``runs_ns`` are
    whole microseconds: the runtime's clock has no finer ones.
    """

    DERIVED = ("ms",)

    node: str
    module: str
    kernel: str
    kind: OperatorKind
    runs_ns: tuple[int, ...]

    @property
    def ms(self) -> float:
        """The median run in milliseconds."""
        return statistics.median(self.runs_ns) / 1e6


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The operators of one subject in the order in which they ran.

    Taken in runs of its own: asking the clock between operators costs time.
    """

    DERIVED = ("total_ms", "shares")

    subject: str
    batch_size: int
    threads: int
    operators: tuple[OperatorTime, ...]

    @property
    def total_ms(self) -> float:
        """The sum of all operators in milliseconds."""
        return sum(operator.ms for operator in self.operators)

    @property
    def shares(self) -> dict[str, float]:
        """The share of the time that each kind takes."""
        total = self.total_ms or 1.0
        return {
            kind.value: sum(found.ms for found in self.operators if found.kind is kind) / total
            for kind in OperatorKind
        }
