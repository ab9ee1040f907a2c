"""What the kernels of other CPUs make of a file, and where sums overflow without VNNI."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_deploy.results.base import Result
from resnet_deploy.results.closeness import OutputDiff, SameTop1, broken_bounds, share
from resnet_deploy.results.environment import Environment
from resnet_deploy.spec import InputContract, Tolerance


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
    preprocess: InputContract | None = None

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


@dataclass(frozen=True, kw_only=True)
class LayerSaturation:
    """One layer whose kernel adds up pairs of products in int16.

    ``name`` is the torch module. Of its ``weight_pairs``, ``risky`` could overflow with some
    activations. Counted over all images: ``sums`` of pairs, of which ``overflows`` do not fit,
    into ``outputs`` values, of which ``touched`` have at least one such sum. ``largest`` is the
    sum of a risky pair that is farthest from zero. A layer without risky pairs is not counted.
    """

    DERIVED = ("touched_share", "overflow_share")

    name: str
    weight_pairs: int
    risky: int
    sums: int = 0
    overflows: int = 0
    outputs: int = 0
    touched: int = 0
    largest: int = 0

    @property
    def touched_share(self) -> float:
        """Share of the output values that an overflow changes, before their rounding to u8."""
        return self.touched / self.outputs if self.outputs else 0.0

    @property
    def overflow_share(self) -> float:
        """Share of the sums that overflow."""
        return self.overflows / self.sums if self.sums else 0.0


@dataclass(frozen=True, kw_only=True)
class SaturationReport(Result):
    """All such layers of an int8 file in graph order, counted over ``images`` images of ``data``.

    ``images`` is 0 when no weights are risky: then there was nothing to count.
    """

    DERIVED = ("always_safe", "safe")

    model: str
    data: str
    images: int
    layers: tuple[LayerSaturation, ...]
    environment: Environment | None = None

    @property
    def always_safe(self) -> bool:
        """True when no image whatever makes any sum overflow."""
        return not any(layer.risky for layer in self.layers)

    @property
    def safe(self) -> bool:
        """True when no sum overflowed on the images."""
        return not any(layer.overflows for layer in self.layers)

    @property
    def passed(self) -> bool:
        """The same as :attr:`safe`."""
        return self.safe

    def _failure(self) -> str:
        names = ", ".join(layer.name for layer in self.unsafe_layers)
        return f"{self.model}: sums of products overflow without VNNI in {names}"

    @property
    def unsafe_layers(self) -> tuple[LayerSaturation, ...]:
        """The layers with overflows, the most touched first."""
        found = [layer for layer in self.layers if layer.overflows]
        return tuple(sorted(found, key=lambda layer: -layer.touched_share))
