"""What was learned: frozen results that keep the raw data; statistics are properties.

``to_dict`` gives plain JSON values: every field, and the properties named in the class's
``STATISTICS`` beside them. ``from_dict`` reads the fields back and computes the rest anew.
Nothing is rounded here.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import cattrs

from resnet_deploy.spec import BenchSpec, Tolerance

R = TypeVar("R")

_converter = cattrs.Converter()


def to_dict(result: Any) -> dict[str, Any]:
    """Return ``result`` as plain JSON values, statistics included; infinities become None."""
    data: dict[str, Any] = _finite(_converter.unstructure(result))
    _add_statistics(result, data)
    return data


def from_dict(kind: type[R], data: Mapping[str, Any]) -> R:
    """Return the result of class ``kind`` that :func:`to_dict` wrote."""
    return _converter.structure(data, kind)


def _add_statistics(result: Any, data: dict[str, Any]) -> None:
    for name in getattr(result, "STATISTICS", ()):
        data[name] = _finite(getattr(result, name))
    for name, value in data.items():
        child = getattr(result, name)
        if isinstance(value, dict) and hasattr(child, "STATISTICS"):
            _add_statistics(child, value)
        elif isinstance(value, list | tuple):
            for grandchild, item in zip(child, value, strict=True):
                if isinstance(item, dict):
                    _add_statistics(grandchild, item)


def _finite(value: Any) -> Any:
    """JSON has no infinity: an SQNR of identical outputs is written as null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def sqnr_db(signal_power: float, noise_power: float) -> float:
    """Return 10 log10(signal / noise); infinite when there is no noise."""
    if noise_power == 0:
        return math.inf
    return 10 * math.log10(signal_power / noise_power) if signal_power > 0 else -math.inf


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where a result was measured, and the command that repeats it.

    ``isa`` holds the vector extensions that matter for int8 (``avx2``, ``avx512_vnni``, …).
    """

    command: str
    cpu: str
    isa: tuple[str, ...]
    cores: int
    os: str
    python: str
    versions: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class OutputDiff:
    """How far one tensor of a candidate is from its reference, over all samples compared.

    ``name`` is the torch module (``layer3.0.conv2``) or the output; powers are sums of squares.
    """

    STATISTICS: ClassVar[tuple[str, ...]] = ("relative", "sqnr_db", "cosine")

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


@dataclass(frozen=True, kw_only=True)
class ParityCase:
    """One comparison: a reference, a candidate, a batch size, an optimisation level.

    ``top1_equal`` says, sample by sample, whether both picked the same class.
    """

    STATISTICS: ClassVar[tuple[str, ...]] = ("agreement", "failures")

    reference: str
    candidate: str
    batch_size: int
    optimization: str
    logits: OutputDiff
    top1_equal: tuple[bool, ...]
    tolerance: Tolerance

    @property
    def agreement(self) -> float:
        """Share of samples with the same top-1."""
        return sum(self.top1_equal) / len(self.top1_equal)

    @property
    def failures(self) -> tuple[str, ...]:
        """Which tolerances do not hold, in words; empty when the case passes."""
        found = self.logits.failures(self.tolerance)
        wanted = self.tolerance.min_agreement
        if wanted is not None and not self.agreement >= wanted:
            found = (*found, f"top-1 agreement {self.agreement:.2%} < {wanted:.2%}")
        return found


@dataclass(frozen=True, kw_only=True)
class ParityReport:
    """All comparisons of one artifact, and its layers in graph order when asked for."""

    STATISTICS: ClassVar[tuple[str, ...]] = ("passed", "samples", "first_drift")

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
        return max(case.logits.samples for case in self.cases)

    @property
    def first_drift(self) -> str | None:
        """The first layer, in graph order, outside the tolerance of the cases."""
        tolerance = self.cases[0].tolerance
        return next((one.name for one in self.layers if one.failures(tolerance)), None)

    def worst(self, optimization: str | None = None) -> ParityCase:
        """Return the case of the largest relative difference, of one optimisation if given."""
        cases = [one for one in self.cases if optimization in (None, one.optimization)]
        return max(cases, key=lambda case: case.logits.relative)


@dataclass(frozen=True, kw_only=True)
class FloatOp:
    """An operator of the optimised graph that does not run in int8, and why."""

    layer: str
    op_type: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The graph that ONNX Runtime really runs, after all its optimisations.

    ``op_counts`` counts its operators; ``float_ops`` are those that should be int8 and aren't.
    """

    STATISTICS: ClassVar[tuple[str, ...]] = ("passed",)

    model: str
    op_counts: dict[str, int]
    float_ops: tuple[FloatOp, ...]

    @property
    def passed(self) -> bool:
        """True when every operator that should run in int8 does."""
        return not self.float_ops


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Another model on the same samples: its ranks and how close the logits are."""

    STATISTICS: ClassVar[tuple[str, ...]] = ("top1", "top5", "agreement", "sqnr_db")

    model: str
    sha256: str
    ranks: tuple[int, ...]
    top1_equal: tuple[bool, ...]
    signal_power: float
    noise_power: float

    @property
    def top1(self) -> float:
        """Share of samples whose true class has the highest logit."""
        return _share_below(self.ranks, 1)

    @property
    def top5(self) -> float:
        """Share of samples whose true class is among the five highest logits."""
        return _share_below(self.ranks, 5)

    @property
    def agreement(self) -> float:
        """Share of samples where both models pick the same class."""
        return sum(self.top1_equal) / len(self.top1_equal)

    @property
    def sqnr_db(self) -> float:
        """Signal to noise of the evaluated model's logits, this model being the reference."""
        return sqnr_db(self.signal_power, self.noise_power)


@dataclass(frozen=True, kw_only=True)
class EvalResult:
    """Accuracy on a dataset.

    ``ranks[i]`` is the rank of sample i's true class among its logits, 0 being the top.
    """

    STATISTICS: ClassVar[tuple[str, ...]] = ("samples", "top1", "top5")

    model: str
    sha256: str
    data: str
    ranks: tuple[int, ...]
    seconds: float
    against: Agreement | None = None
    environment: Environment | None = None

    @property
    def samples(self) -> int:
        """How many images were evaluated."""
        return len(self.ranks)

    @property
    def top1(self) -> float:
        """Share of samples whose true class has the highest logit."""
        return _share_below(self.ranks, 1)

    @property
    def top5(self) -> float:
        """Share of samples whose true class is among the five highest logits."""
        return _share_below(self.ranks, 5)


def _share_below(ranks: tuple[int, ...], k: int) -> float:
    return sum(rank < k for rank in ranks) / len(ranks)


@dataclass(frozen=True, kw_only=True)
class ScoredClass:
    """One class of a prediction."""

    index: int
    label: str
    probability: float
    logit: float


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The classes of one image, most likely first."""

    image: str
    classes: tuple[ScoredClass, ...]


@dataclass(frozen=True, kw_only=True)
class BenchSubject:
    """What is measured: a runner on a model file; ``label`` is its name in the table.

    ``input_shape`` is one image's, ``(C, H, W)``; ``input_dtype`` is numpy's name.
    """

    label: str
    runner: str
    model: str
    precision: str
    input_shape: tuple[int, ...]
    input_dtype: str
    batch_size: int
    threads: int


@dataclass(frozen=True, kw_only=True)
class BenchSamples:
    """Everything measured of one subject. Times in nanoseconds, memory in bytes.

    ``rounds_ns[r][i]`` is run i of round r. ``peak_rss_bytes`` is the whole process's, Python
    and the runtime's libraries included. ``logits`` and ``top1_equal`` compare its output with
    the first subject's on the same input, and are None for the first itself and where inputs or
    outputs have different shapes.
    """

    STATISTICS: ClassVar[tuple[str, ...]] = (
        "min_ms",
        "p50_ms",
        "p90_ms",
        "p99_ms",
        "images_per_second",
        "agreement",
    )

    subject: BenchSubject
    rounds_ns: tuple[tuple[int, ...], ...]
    warmup_runs: int
    load_ns: int
    first_run_ns: int
    peak_rss_bytes: int
    file_bytes: int
    logits: OutputDiff | None = None
    top1_equal: tuple[bool, ...] = ()

    @property
    def agreement(self) -> float | None:
        """Share of samples with the first subject's top-1; None where nothing was compared."""
        return sum(self.top1_equal) / len(self.top1_equal) if self.top1_equal else None

    @property
    def all_ns(self) -> list[int]:
        """All runs of all rounds, sorted."""
        return sorted(ns for one_round in self.rounds_ns for ns in one_round)

    @property
    def min_ms(self) -> float:
        """The fastest run in milliseconds."""
        return self.all_ns[0] / 1e6

    @property
    def p50_ms(self) -> float:
        """The median run in milliseconds."""
        return statistics.median(self.all_ns) / 1e6

    @property
    def p90_ms(self) -> float:
        """90 % of runs took no longer, in milliseconds (nearest rank)."""
        return self._percentile(0.90)

    @property
    def p99_ms(self) -> float:
        """99 % of runs took no longer, in milliseconds (nearest rank)."""
        return self._percentile(0.99)

    @property
    def images_per_second(self) -> float:
        """Throughput at the median latency."""
        return self.subject.batch_size * 1e3 / self.p50_ms

    def _percentile(self, share: float) -> float:
        values = self.all_ns
        return values[max(0, math.ceil(share * len(values)) - 1)] / 1e6


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """How many times faster a subject is than the reference: paired, round by round.

    ``rounds[r]`` is the reference's median run of round r over the subject's; ``minima`` is
    the same of the fastest runs of all rounds.
    """

    STATISTICS: ClassVar[tuple[str, ...]] = ("median", "low", "high", "differs")

    subject: str
    reference: str
    rounds: tuple[float, ...]
    minima: float

    @property
    def median(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.rounds)

    @property
    def low(self) -> float:
        """Lower end of the 95 % confidence interval of the median."""
        return median_interval(self.rounds)[0]

    @property
    def high(self) -> float:
        """Upper end of the 95 % confidence interval of the median."""
        return median_interval(self.rounds)[1]

    @property
    def differs(self) -> bool:
        """False when the interval contains 1: no difference can be told."""
        return not self.low <= 1 <= self.high


def median_interval(values: tuple[float, ...], confidence: float = 0.95) -> tuple[float, float]:
    """Return an interval that holds the true median with at least ``confidence``.

    It runs from the k-th smallest to the k-th largest value. Each value is below the true
    median with probability 1/2, so the interval misses with probability 2 P(B < k), B being
    binomial(n, 1/2); k is the largest that keeps this within 1 - ``confidence``. Nothing is
    assumed about how times are distributed. Below 6 values even the extremes are not enough:
    the interval is then (0, inf).

    Source: H. A. David, H. N. Nagaraja, Order Statistics, 3rd ed., section 7.1.
    """
    count = len(values)
    below, missed = -1, 0.0
    while True:
        missed += 2 * math.comb(count, below + 1) / 2**count
        if missed > 1 - confidence:
            break
        below += 1
    if below < 0:
        return 0.0, math.inf
    ordered = sorted(values)
    return ordered[below], ordered[count - 1 - below]


@dataclass(frozen=True, kw_only=True)
class BenchmarkResult:
    """A side-by-side run of several subjects; the first is the reference of parity.

    ``ratios`` compares each with the first, and with ONNX Runtime on the first fp32 file.
    ``skipped`` holds the label of each subject that could not run, and why.
    """

    spec: BenchSpec
    environment: Environment
    subjects: tuple[BenchSamples, ...]
    ratios: tuple[Ratio, ...]
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One row of the paper's Table 1."""

    name: str
    output_size: str
    layers: str
    parameters: int
    macs: int


@dataclass(frozen=True, kw_only=True)
class ModelSummary:
    """Table 1 of the paper for one net, or the same for an ONNX file.

    ``paper_flops`` are the paper's multiply-adds, None where it gives none. The fields after
    it are known for files only.
    """

    STATISTICS: ClassVar[tuple[str, ...]] = ("parameters", "macs")

    name: str
    stages: tuple[Stage, ...]
    paper_flops: float | None = None
    precision: str | None = None
    opset: int | None = None
    file_bytes: int | None = None
    op_counts: dict[str, int] = field(default_factory=dict)
    card: dict[str, Any] | None = None

    @property
    def parameters(self) -> int:
        """Weights and biases, BatchNorm's affine ones included, running statistics not."""
        return sum(stage.parameters for stage in self.stages)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and linear layers for one image."""
        return sum(stage.macs for stage in self.stages)


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What ``export`` or ``quantize`` made: the files, and the proof of each.

    By precision (``fp32``, ``int8``): paths, SHA-256 and parity. Without files a check failed.
    """

    STATISTICS: ClassVar[tuple[str, ...]] = ("passed",)

    files: dict[str, str]
    sha256: dict[str, str]
    parity: dict[str, ParityReport]
    inspection: Inspection | None
    allowed_float_ops: bool
    notices: tuple[str, ...]
    seconds: float
    environment: Environment

    @property
    def passed(self) -> bool:
        """True when every check that was run passed, and the files were written."""
        return bool(self.files)
