"""How far a file is from its reference, and what ONNX Runtime makes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from resnet_deploy.results.environment import Environment
from resnet_deploy.spec import Tolerance


def sqnr_db(signal_power: float, noise_power: float) -> float:
    """Return 10 log10(signal / noise): infinite without noise, minus infinite with nothing else."""
    if noise_power == 0:
        return math.inf
    if noise_power == math.inf or signal_power <= 0:
        return -math.inf
    return 10 * math.log10(signal_power / noise_power)


@dataclass(frozen=True, kw_only=True)
class OutputDiff:
    """How far one tensor of a candidate is from its reference, over all samples compared.

    ``name`` is the torch module (``layer3.0.conv2``) or the output; powers are sums of squares.
    """

    DERIVED: ClassVar[tuple[str, ...]] = ("relative", "sqnr_db", "cosine")

    name: str
    samples: int
    max_abs: float
    max_reference: float
    signal_power: float
    noise_power: float
    dot: float
    candidate_power: float

    @property
    def relative(self) -> float:
        """Max |difference| over max |reference|."""
        if self.max_reference == 0:
            return 0.0 if self.max_abs == 0 else math.inf
        return self.max_abs / self.max_reference

    @property
    def sqnr_db(self) -> float:
        """Signal to quantization noise ratio in dB."""
        return sqnr_db(self.signal_power, self.noise_power)

    @property
    def cosine(self) -> float:
        """Cosine of the angle between the two tensors, seen as vectors."""
        norm = math.sqrt(self.signal_power * self.candidate_power)
        return self.dot / norm if norm > 0 else float(self.noise_power == 0)

    def failures(self, tolerance: Tolerance) -> tuple[str, ...]:
        """Return in words which bounds of ``tolerance`` the difference breaks."""
        found = []
        if not math.isfinite(self.max_abs):
            found.append("NaN or infinity")
        largest = tolerance.max_relative
        if largest is not None and not self.relative <= largest:
            found.append(f"relative difference {self.relative:.3g} > {largest:.3g}")
        decibels = tolerance.min_sqnr_db
        if decibels is not None and not self.sqnr_db >= decibels:
            found.append(f"SQNR {self.sqnr_db:.1f} dB < {decibels:.1f} dB")
        cosine = tolerance.min_cosine
        if cosine is not None and not self.cosine >= cosine:
            found.append(f"cosine {self.cosine:.5f} < {cosine:.5f}")
        return tuple(found)


def broken_bounds(
    outputs: Sequence[OutputDiff], agreement: float | None, tolerance: Tolerance
) -> tuple[str, ...]:
    """Return in words which bounds of ``tolerance`` outputs and top-1 ``agreement`` break."""
    found = []
    for one in outputs:
        name = f"{one.name}: " if len(outputs) > 1 else ""
        found += [f"{name}{failure}" for failure in one.failures(tolerance)]
    wanted = tolerance.min_agreement
    if wanted is not None and agreement is not None and not agreement >= wanted:
        found.append(f"top-1 agreement {agreement:.2%} < {wanted:.2%}")
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class ParityCase:
    """One comparison: a reference, a candidate, a batch size, an optimisation level.

    ``outputs`` are all that hold numbers, in the order of the file. ``top1_equal`` says, sample by
    sample, whether both picked the same class; it is empty where there are no classes.
    """

    DERIVED: ClassVar[tuple[str, ...]] = ("agreement", "failures")

    reference: str
    candidate: str
    batch_size: int
    optimization: str
    outputs: tuple[OutputDiff, ...]
    top1_equal: tuple[bool, ...]
    tolerance: Tolerance

    @property
    def samples(self) -> int:
        """How many samples were compared."""
        return self.outputs[0].samples

    @property
    def worst(self) -> OutputDiff:
        """The output with the most noise; NaN counts as most."""
        return min(
            self.outputs, key=lambda one: -math.inf if math.isnan(one.sqnr_db) else one.sqnr_db
        )

    @property
    def relative(self) -> float:
        """The largest relative difference of any output."""
        return max(one.relative for one in self.outputs)

    @property
    def agreement(self) -> float | None:
        """Share of samples with the same top-1; None where there are no classes."""
        return sum(self.top1_equal) / len(self.top1_equal) if self.top1_equal else None

    @property
    def failures(self) -> tuple[str, ...]:
        """Which tolerances do not hold, in words; empty when the case passes."""
        return broken_bounds(self.outputs, self.agreement, self.tolerance)


@dataclass(frozen=True, kw_only=True)
class ParityReport:
    """All comparisons of one artifact, and its layers in graph order when asked for."""

    DERIVED: ClassVar[tuple[str, ...]] = ("passed", "samples", "first_drift")

    model: str
    data: str
    cases: tuple[ParityCase, ...]
    layers: tuple[OutputDiff, ...] = ()
    environment: Environment | None = None

    @property
    def passed(self) -> bool:
        """True when there is at least one case and all hold."""
        return bool(self.cases) and not any(case.failures for case in self.cases)

    @property
    def samples(self) -> int:
        """The most samples that any case compared."""
        return max(case.samples for case in self.cases)

    @property
    def first_drift(self) -> str | None:
        """The first layer, in graph order, outside the tolerance of the cases."""
        tolerance = self.cases[0].tolerance
        return next((one.name for one in self.layers if one.failures(tolerance)), None)

    def worst(self, optimization: str | None = None) -> ParityCase:
        """Return the case of the largest relative difference, of one optimisation if given."""
        cases = [one for one in self.cases if optimization in (None, one.optimization)]
        return max(cases, key=lambda case: case.relative)


@dataclass(frozen=True, kw_only=True)
class FloatOp:
    """An operator of the optimised graph that does not run in int8, and why.

    ``requested``: it belongs to a layer that was asked to stay float.
    """

    layer: str
    op_type: str
    reason: str
    requested: bool = False


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The graph that ONNX Runtime really runs, after all its optimisations.

    ``op_counts`` counts its operators; ``float_ops`` are those that should be int8 and aren't.
    """

    DERIVED: ClassVar[tuple[str, ...]] = ("passed",)

    model: str
    op_counts: dict[str, int]
    float_ops: tuple[FloatOp, ...]

    @property
    def passed(self) -> bool:
        """True when every operator that should run in int8 does."""
        return all(one.requested for one in self.float_ops)
