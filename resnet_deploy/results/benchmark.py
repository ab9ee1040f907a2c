"""What was measured of each subject, its operators, and the paired ratios between subjects."""

from __future__ import annotations

import enum
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from resnet_deploy.results.base import Result
from resnet_deploy.results.closeness import OutputDiff, SameTop1
from resnet_deploy.results.environment import Environment
from resnet_deploy.results.ratio import Ratio
from resnet_deploy.spec import BenchSpec


@dataclass(frozen=True, kw_only=True)
class BenchSubject:
    """What is measured: a runner on a model file; ``label`` is its name in the table.

    ``input_shape`` is one image's as the file takes it, batch dimension left out;
    ``input_dtype`` is numpy's name. ``session_options`` are the runtime's own keys and values.
    ``instances`` processes of it run at once (throughput), with ``threads`` each. ``cpus`` are
    the logical CPUs that all of them are tied to, in equal parts; empty leaves it to the system.
    """

    label: str
    runner: str
    model: str
    precision: str
    input_shape: tuple[int, ...]
    input_dtype: str
    batch_size: int
    threads: int
    session_options: tuple[tuple[str, str], ...] = ()
    instances: int = 1
    cpus: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ColdStart:
    """One fresh process, in nanoseconds.

    ``startup_ns``: the interpreter and the runtime's libraries. ``load_ns``: from the file to a
    model that can run. ``first_run_ns``: its first run, allocation and lazy set-up included.
    """

    startup_ns: int
    load_ns: int
    first_run_ns: int


@dataclass(frozen=True, kw_only=True)
class BenchSamples(SameTop1):
    """Everything measured of one subject. Times in nanoseconds, memory in bytes.

    ``rounds_ns[r][i]`` is run i of round r. ``processes`` holds how many of the rounds each
    process made in turn; empty means one process. ``images_per_slice[r]`` is what all instances
    together did per second in round r, empty when latency was measured. ``peak_rss_bytes`` is
    the whole process's, Python and the runtime's libraries included, summed over instances.
    ``logits`` and ``top1_equal`` compare its output with the first subject's on the same input,
    and are None for the first itself and where inputs or outputs have different shapes;
    ``parity_images`` says what that input shows. ``card_sqnr_db`` is what the file's card tells of
    its signal to noise, in dB, on the ``card_images`` that it was compared on when it was made.
    """

    DERIVED = (
        "min_ms",
        "p50_ms",
        "p90_ms",
        "p99_ms",
        "images_per_second",
        "agreement",
        "startup_ms",
        "load_ms",
        "first_run_ms",
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
    processes: tuple[int, ...] = ()
    images_per_slice: tuple[float, ...] = ()
    cold_starts: tuple[ColdStart, ...] = ()
    parity_images: str = ""
    card_sqnr_db: float | None = None
    card_images: int = 0

    @property
    def all_ns(self) -> list[int]:
        """All runs of all rounds, sorted."""
        return sorted(ns for runs in self.rounds_ns for ns in runs)

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
        """The median slice's, or that of the median latency where latency was measured."""
        if self.images_per_slice:
            return statistics.median(self.images_per_slice)
        return self.subject.batch_size * 1e3 / self.p50_ms

    @property
    def costs(self) -> tuple[float, ...]:
        """What an image cost in each round, in nanoseconds: by throughput, or by median run."""
        if self.images_per_slice:
            return tuple(1e9 / rate for rate in self.images_per_slice)
        size = self.subject.batch_size
        return tuple(statistics.median(runs) / size for runs in self.rounds_ns)

    @property
    def startup_ms(self) -> float | None:
        """The median cold start's interpreter and libraries in milliseconds; None without one."""
        starts = [start.startup_ns for start in self.cold_starts]
        return statistics.median(starts) / 1e6 if starts else None

    @property
    def load_ms(self) -> float:
        """The median load in milliseconds."""
        loads = [start.load_ns for start in self.cold_starts] or [self.load_ns]
        return statistics.median(loads) / 1e6

    @property
    def first_run_ms(self) -> float:
        """The median first run in milliseconds."""
        runs = [start.first_run_ns for start in self.cold_starts] or [self.first_run_ns]
        return statistics.median(runs) / 1e6

    def _percentile(self, share: float) -> float:
        values = self.all_ns
        return values[max(0, math.ceil(share * len(values)) - 1)] / 1e6


def paired_ratios(samples: Sequence[BenchSamples]) -> tuple[Ratio, ...]:
    """Compare all with the first, and those on ONNX Runtime with its first fp32 file."""
    found = [_ratio(sample, samples[0]) for sample in samples[1:]]
    on_ort = [sample for sample in samples if sample.subject.runner == "ort"]
    base = next((sample for sample in on_ort if sample.subject.precision == "fp32"), None)
    if base is not None and base is not samples[0]:
        found += [_ratio(sample, base) for sample in on_ort if sample is not base]
    return tuple(found)


def _ratio(samples: BenchSamples, reference: BenchSamples) -> Ratio:
    paired = zip(reference.costs, samples.costs, strict=True)
    return Ratio(
        subject=samples.subject.label,
        reference=reference.subject.label,
        rounds=tuple(before / after for before, after in paired),
        minima=_least_cost(reference) / _least_cost(samples),
        processes=samples.processes,
    )


def _least_cost(samples: BenchSamples) -> float:
    """Of an image: with throughput the best slice, else the fastest run."""
    if samples.images_per_slice:
        return min(samples.costs)
    return samples.min_ms / samples.subject.batch_size


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


@dataclass(frozen=True, kw_only=True)
class BenchmarkResult(Result):
    """A side-by-side run of several subjects; the first is the reference of parity.

    ``ratios`` compares each with the first, and with ONNX Runtime on the first fp32 file.
    ``skipped`` holds the label of each subject that could not run, and why. ``profiles`` are
    those that were asked for.
    """

    spec: BenchSpec
    environment: Environment
    subjects: tuple[BenchSamples, ...]
    ratios: tuple[Ratio, ...]
    skipped: dict[str, str] = field(default_factory=dict)
    profiles: tuple[Profile, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BenchmarkSweep(Result):
    """The same subjects with several batch sizes, threads or instances, one benchmark each."""

    results: tuple[BenchmarkResult, ...]
