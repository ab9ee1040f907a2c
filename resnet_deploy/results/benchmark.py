"""What was measured of each subject, and the paired ratios between them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from resnet_deploy.results.environment import Environment
from resnet_deploy.results.parity import OutputDiff
from resnet_deploy.spec import BenchSpec


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


def paired_ratios(samples: Sequence[BenchSamples]) -> tuple[Ratio, ...]:
    """Compare all with the first, and those on ONNX Runtime with its first fp32 file."""
    found = [_ratio(one, samples[0]) for one in samples[1:]]
    on_ort = [one for one in samples if one.subject.runner == "ort"]
    base = next((one for one in on_ort if one.subject.precision == "fp32"), None)
    if base is not None and base is not samples[0]:
        found += [_ratio(one, base) for one in on_ort if one is not base]
    return tuple(found)


def _ratio(one: BenchSamples, reference: BenchSamples) -> Ratio:
    paired = zip(reference.rounds_ns, one.rounds_ns, strict=True)
    return Ratio(
        subject=one.subject.label,
        reference=reference.subject.label,
        rounds=tuple(statistics.median(a) / statistics.median(b) for a, b in paired),
        minima=reference.min_ms / one.min_ms,
    )


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
