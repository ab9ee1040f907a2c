"""What a verb would do, how long that takes and in how much memory: of a dry run."""

from __future__ import annotations

from dataclasses import dataclass

Span = tuple[float, float]
"""The least and the most that something is estimated at."""


@dataclass(frozen=True, kw_only=True)
class PlannedFile:
    """A file that would be written: its size in ``bytes``, from the least to the most.

    ``replaces`` says that one is there already.
    """

    path: str
    bytes: tuple[int, int]
    replaces: bool


@dataclass(frozen=True, kw_only=True)
class PlannedPhase:
    """A part of the work: the ``seconds`` that it takes, and the ``basis`` of that in words."""

    name: str
    seconds: Span
    basis: str


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What would be done; nothing was.

    ``memory_bytes`` is the peak of the process, and ``available_bytes`` what is free here now.
    """

    DERIVED = ("seconds",)

    files: tuple[PlannedFile, ...]
    phases: tuple[PlannedPhase, ...]
    memory_bytes: tuple[int, int]
    memory_basis: str
    available_bytes: int
    notices: tuple[str, ...] = ()

    @property
    def seconds(self) -> Span:
        """All phases together."""
        least, most = (sum(phase.seconds[end] for phase in self.phases) for end in (0, 1))
        return least, most


def between(value: float, factors: Span) -> Span:
    """Return ``value`` times each of ``factors``."""
    return value * factors[0], value * factors[1]


def whole(span: Span) -> tuple[int, int]:
    """Return ``span`` in whole units."""
    return round(span[0]), round(span[1])
