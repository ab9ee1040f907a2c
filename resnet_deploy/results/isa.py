"""What the kernels of other CPUs make of a file."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_deploy.results.base import Result
from resnet_deploy.results.closeness import OutputDiff, SameTop1, broken_bounds, share
from resnet_deploy.results.environment import Environment
from resnet_deploy.spec import Tolerance


@dataclass(frozen=True, kw_only=True)
class IsaRun(SameTop1):
    """One file on the kernels of one instruction set, against this CPU's run of the same file.

    ``emulator`` is None where this CPU has the kernels itself; ``seconds`` are those of this
    call, next to nothing when ``cached``. ``identical_samples`` have the same logits to the last
    bit. ``top1_equal`` and ``reference_top1_equal`` say, sample by sample, whether both pick the
    same class; ``reference`` is None without a reference.
    """

    DERIVED = ("samples", "bit_identical", "agreement", "reference_agreement", "failures")

    isa: str
    emulator: str | None
    seconds: float
    cached: bool
    identical_samples: int
    logits: OutputDiff
    top1_equal: tuple[bool, ...]
    tolerance: Tolerance
    reference: OutputDiff | None = None
    reference_top1_equal: tuple[bool, ...] = ()

    @property
    def samples(self) -> int:
        """How many images were compared."""
        return self.logits.samples

    @property
    def bit_identical(self) -> bool:
        """Whether all logits are equal to the last bit."""
        return self.identical_samples == self.samples

    @property
    def reference_agreement(self) -> float | None:
        """Share of samples with the same top-1 as the reference; None without one."""
        return share(self.reference_top1_equal) if self.reference_top1_equal else None

    @property
    def failures(self) -> tuple[str, ...]:
        """Which tolerances do not hold, in words; empty when the run passes."""
        return broken_bounds((self.logits,), self.agreement, self.tolerance)


@dataclass(frozen=True, kw_only=True)
class IsaReport(Result):
    """One file on several instruction sets; ``reference`` names what has the right answer."""

    DERIVED = ("passed", "proven")

    model: str
    data: str
    runs: tuple[IsaRun, ...]
    reference: str | None = None
    environment: Environment | None = None

    @property
    def passed(self) -> bool:
        """True when there is at least one run and all hold."""
        return bool(self.runs) and len(self.proven) == len(self.runs)

    def _failure(self) -> str:
        failed = [f"{run.isa}: {', '.join(run.failures)}" for run in self.runs if run.failures]
        return f"{self.model}: " + ("; ".join(failed) or "nothing was compared")

    @property
    def proven(self) -> tuple[str, ...]:
        """The instruction sets on which the file computes what it computes on this CPU."""
        return tuple(run.isa for run in self.runs if not run.failures)
