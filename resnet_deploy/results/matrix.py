"""What became of many networks and targets."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from resnet_deploy.results.base import Result
from resnet_deploy.results.deployment import BundleReport, Deployment
from resnet_deploy.results.environment import Environment


class CellState(str, enum.Enum):
    """``planned`` was only listed; ``unchanged`` was made before, of the same."""

    PLANNED = "planned"
    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """One network for one target.

    ``files`` are the paths of what was made, with their SHA-256. ``reason`` says why it failed,
    ``code`` is the exit code of that alone. ``timed`` says why it can't be spread over other
    processes; empty: it can. ``deployment`` and ``bundle`` are of this run.
    """

    net: str
    target: str
    folder: str
    state: CellState
    reason: str = ""
    code: int = 0
    files: dict[str, str] = field(default_factory=dict)
    timed: str = ""
    seconds: float = 0.0
    notices: tuple[str, ...] = ()
    deployment: Deployment | None = None
    bundle: BundleReport | None = None

    @property
    def name(self) -> str:
        """What it is called in a table."""
        return f"{self.net} x {self.target}"


@dataclass(frozen=True, kw_only=True)
class MatrixReport(Result):
    """What became of each cell, in the order of the file ``matrix``; ``folder`` holds them all."""

    DERIVED = ("passed",)

    matrix: str
    folder: str
    cells: tuple[CellResult, ...]
    seconds: float
    environment: Environment
    notices: tuple[str, ...] = ()

    def of(self, state: CellState) -> tuple[CellResult, ...]:
        """Return the cells in ``state``."""
        return tuple(cell for cell in self.cells if cell.state is state)

    @property
    def passed(self) -> bool | None:
        """Whether no cell failed; None where they were only listed."""
        if self.of(CellState.PLANNED):
            return None
        return not self.of(CellState.FAILED)

    @property
    def written(self) -> dict[str, str]:
        """Paths of all files, with their SHA-256."""
        return {path: digest for cell in self.cells for path, digest in cell.files.items()}

    def _failure(self) -> str:
        failed = self.of(CellState.FAILED)
        first = f"{failed[0].name}: {failed[0].reason}"
        return f"{len(failed)} of {len(self.cells)} cells failed; {first}"
