"""How far a file is from its reference, and what ONNX Runtime makes of it."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_deploy.results.base import Result
from resnet_deploy.results.closeness import OutputDiff, broken_bounds, share
from resnet_deploy.results.environment import Environment
from resnet_deploy.spec import InputContract, Tolerance


@dataclass(frozen=True, kw_only=True)
class ParityCase:
    """One comparison: a reference, a candidate, a batch size, an optimisation level.

    ``outputs`` are all that hold numbers, in the order of the file. ``top1_equal`` says, sample by
    sample, whether both picked the same class; it is empty where there are no classes. Then
    ``answers_equal`` says the same of what ``answer`` names: the decision of one value, the labels
    that either gives, or which other image is nearest; both are empty for features. ``cosines`` are
    those of embeddings, sample by sample. ``not_compared`` says which checks could not have failed,
    and so were not made.
    """

    DERIVED = ("agreement", "failures")

    reference: str
    candidate: str
    batch_size: int
    optimization: str
    outputs: tuple[OutputDiff, ...]
    top1_equal: tuple[bool, ...]
    tolerance: Tolerance
    answer: str = "top-1"
    answers_equal: tuple[bool, ...] = ()
    cosines: tuple[float, ...] = ()
    not_compared: tuple[str, ...] = ()

    @property
    def agreement(self) -> float | None:
        """Share of equal answers; None where none were compared."""
        flags = self.top1_equal or self.answers_equal
        return share(flags) if flags else None

    @property
    def least_cosine(self) -> float | None:
        """The cosine of the embedding that changed most."""
        return min(self.cosines, default=None)

    @property
    def mean_cosine(self) -> float | None:
        """The mean over samples of the embeddings' cosine."""
        return sum(self.cosines) / len(self.cosines) if self.cosines else None

    @property
    def samples(self) -> int:
        """How many samples were compared."""
        return self.outputs[0].samples

    @property
    def worst(self) -> OutputDiff:
        """The output with the most noise."""
        return min(self.outputs, key=lambda output: output.sqnr_db)

    @property
    def relative(self) -> float:
        """The largest relative difference of any output."""
        return max(output.relative for output in self.outputs)

    @property
    def failures(self) -> tuple[str, ...]:
        """Which tolerances do not hold, in words; empty when the case passes."""
        return broken_bounds(self.outputs, self.agreement, self.tolerance, self.answer)


@dataclass(frozen=True, kw_only=True)
class ParityReport(Result):
    """All comparisons of one artifact, and its layers in graph order when asked for.

    ``calibrated``: the images set the int8 ranges, which therefore fit them better than others.
    """

    DERIVED = ("passed", "samples", "first_drift")

    model: str
    data: str
    cases: tuple[ParityCase, ...]
    layers: tuple[OutputDiff, ...] = ()
    environment: Environment | None = None
    preprocess: InputContract | None = None
    calibrated: bool = False

    @property
    def passed(self) -> bool:
        """True when there is at least one case and all hold."""
        return bool(self.cases) and not any(case.failures for case in self.cases)

    def _failure(self) -> str:
        for case in self.cases:
            if case.failures:
                drift = self.first_drift
                return (
                    f"{case.candidate} is too far from {case.reference} (batch size "
                    f"{case.batch_size}, optimisations {case.optimization}): "
                    + "; ".join(case.failures)
                    + (f"; the first layer that drifts is {drift}" if drift else "")
                )
        return f"{self.model}: nothing was compared"

    @property
    def not_compared(self) -> tuple[str, ...]:
        """Which checks no case could make."""
        return tuple(dict.fromkeys(reason for case in self.cases for reason in case.not_compared))

    @property
    def samples(self) -> int:
        """The most samples that any case compared."""
        return max(case.samples for case in self.cases)

    @property
    def first_drift(self) -> str | None:
        """The first layer, in graph order, outside the tolerance of the cases."""
        tolerance = self.cases[0].tolerance
        return next((layer.name for layer in self.layers if layer.failures(tolerance)), None)

    def worst(self, optimization: str | None = None) -> ParityCase:
        """Return the case of the largest relative difference, of one optimisation if given."""
        cases = [case for case in self.cases if optimization in (None, case.optimization)]
        return max(cases, key=lambda case: case.relative)


@dataclass(frozen=True, kw_only=True)
class FloatOp:
    """An operator of the optimised graph that does not run in int8, and why.

    ``requested``: it belongs to a layer that was asked to stay float. ``intended``: it is float in
    every int8 net, such as LayerNormalization, or serves an operator that is.
    """

    layer: str
    op_type: str
    reason: str
    requested: bool = False
    intended: bool = False

    @property
    def accepted(self) -> bool:
        """Whether it is no surprise."""
        return self.requested or self.intended


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The graph that a ``runtime`` really runs, after all its optimisations.

    ``op_counts`` counts its operators; ``float_ops`` are those that should be int8 and aren't.
    """

    DERIVED = ("passed",)

    model: str
    op_counts: dict[str, int]
    float_ops: tuple[FloatOp, ...]
    runtime: str = "ONNX Runtime"

    @property
    def passed(self) -> bool:
        """True when every operator that should run in int8 does; others are accepted."""
        return all(op.accepted for op in self.float_ops)
