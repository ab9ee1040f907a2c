"""What tuning tried, what each try was worth, and which one to ship."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from resnet_deploy.errors import ArtifactError, one_line
from resnet_deploy.plain_values import read_text, strict_json
from resnet_deploy.results.base import Result, from_dict
from resnet_deploy.results.environment import Environment
from resnet_deploy.results.preview import Preview
from resnet_deploy.results.ratio import Ratio
from resnet_deploy.results.sensitivity import Fidelity
from resnet_deploy.spec import FileOptions, InputContract, Objective, RunOptions, TuneSpec

_AS_FAST = 0.98

_LONGEST = 1e12
"""Milliseconds of a run, or times as fast: what is beyond was not measured."""

_STRONGEST = 1e100
"""Power of a signal: squares of float32 are from 1e-90 to 1e77."""

_MOST_TRIALS = 1000
"""Of a search, which tries some dozens: each is compared with all others."""

_LONGEST_NAME = 255
"""Bytes of a file's name, on every usual file system."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One file run in one way.

    ``ratio`` is how many times faster it is than the reference trial, measured alternately with it;
    the reference itself has none. ``rounds_ms`` are its median run (or its milliseconds per image,
    for throughput) in each round, ``file_bytes`` its size. ``fidelity`` was measured on ``runner``
    as it is; where only threads or ONNX Runtime's options differ from a trial whose outputs are
    bit for bit the same, it is that trial's.
    """

    DERIVED = ("speed",)

    recipe: FileOptions
    setting: RunOptions
    file: str
    sha256: str
    file_bytes: int
    fidelity: Fidelity
    rounds_ms: tuple[float, ...]
    ratio: Ratio | None = None

    @property
    def name(self) -> str:
        """The file and the way it runs."""
        return f"{self.recipe.name} on {self.setting.name}"

    @property
    def speed(self) -> float:
        """Times as fast as the reference."""
        return 1.0 if self.ratio is None else self.ratio.median

    @property
    def measured(self) -> tuple[float, tuple[float, float]] | None:
        """Times as fast as the reference, and its interval.

        None for the reference itself, and where too little was measured to have both ends.
        """
        if self.ratio is None or not (self.ratio.low > 0 and math.isfinite(self.ratio.high)):
            return None
        return self.ratio.median, self.ratio.interval

    @property
    def speed_interval(self) -> tuple[float, float]:
        """The confidence interval of :attr:`speed`."""
        return (1.0, 1.0) if self.ratio is None else self.ratio.interval


@dataclass(frozen=True, kw_only=True)
class TuningReport(Result):
    """Everything that was tried; the first trial is the reference of all speeds.

    ``reference_ms`` is the reference's fastest median round: absolute times are made of it.
    ``data`` names the images and their SHA-256. ``skipped`` holds what could not run here, and
    why; ``untried`` what was left out, or stopped in the middle, for want of time: ``complete`` if
    nothing was. ``seconds`` count interrupted searches too; ``least_seconds`` is what the first
    trial was estimated to take, before it was begun. ``shipped`` is the path of the best file, None
    where that is not known. With a ``preview`` nothing was tried.
    """

    DERIVED = ("passed",)

    model: str
    sha256: str
    data: str
    spec: TuneSpec
    environment: Environment
    trials: tuple[Trial, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    complete: bool = False
    untried: tuple[str, ...] = ()
    least_seconds: float | None = None
    shipped: str | None = None
    preprocess: InputContract | None = None
    preview: Preview | None = None

    @property
    def reference_ms(self) -> float:
        """Milliseconds of the reference trial: its fastest median round."""
        return min(self.trials[0].rounds_ms)

    def latency_ms(self, trial: Trial) -> float:
        """Return the milliseconds of ``trial``, by its paired speed against the reference."""
        return self.reference_ms / trial.speed

    def holds(self, trial: Trial) -> bool:
        """Return whether ``trial`` loses no more than was allowed."""
        spec, fidelity = self.spec, trial.fidelity
        drop, allowed = fidelity.drop, spec.max_drop
        if allowed is not None and (drop is None or drop > allowed):
            return False
        return spec.min_agreement is None or fidelity.agreement >= spec.min_agreement

    @property
    def best(self) -> Trial | None:
        """What to ship, of the trials that keep the budget; None when none does.

        For latency and throughput the leader is the one with the highest speed. Of those within
        2 % of it whose speed can't be told apart from its (their intervals overlap), the one
        closest to fp32 is taken. For size the smallest file is, and of equal ones the fastest.
        """
        good = [trial for trial in self.trials if self.holds(trial)]
        if not good:
            return None
        if self.spec.objective is Objective.SIZE:
            smallest = min(trial.file_bytes for trial in good)
            # Names in a card take some bytes: a hundredth more is no larger file.
            good = [trial for trial in good if trial.file_bytes <= 1.01 * smallest]
        leader = max(good, key=lambda trial: trial.speed)
        equal = [
            trial
            for trial in good
            if trial.speed >= _AS_FAST * leader.speed
            and trial.speed_interval[1] >= leader.speed_interval[0]
        ]
        return max(equal, key=lambda trial: (trial.fidelity.agreement, trial.speed))

    @property
    def passed(self) -> bool:
        """Whether something keeps the budget, or this is a dry run, which tries nothing."""
        return self.best is not None or self.preview is not None

    def _failure(self) -> str:
        return f"{self.model}: none of the {len(self.trials)} trials keeps the accuracy budget"

    @property
    def front(self) -> tuple[Trial, ...]:
        """The trials that no other one beats in speed, closeness to fp32 and size at once."""
        merits = [(t.speed, t.fidelity.agreement, -t.file_bytes) for t in self.trials]
        return tuple(
            trial
            for trial, own in zip(self.trials, merits, strict=True)
            if not any(_beats(better, own) for better in merits)
        )


def read_tuning(path: Path) -> TuningReport:
    """Return the report that ``tune`` wrote to ``path``.

    Raises:
        ArtifactError: it can't be read, or is not a record of this version's.
    """
    try:
        report = from_dict(TuningReport, strict_json(read_text(path)))
        if len(report.trials) > _MOST_TRIALS:
            raise ValueError(f"{len(report.trials)} trials")
        for trial in report.trials:
            _check(trial)
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ArtifactError(
            f"{path} is not a record of this version's ({one_line(error)})"
        ) from error
    return report


def _check(trial: Trial) -> None:
    """Refuse what no search measures, and a file anywhere but beside the others.

    Raises:
        ValueError: the trial says so.
    """
    fidelity, ratio, paired = trial.fidelity, trial.ratio, trial.fidelity.paired
    times = (*trial.rounds_ms, *(() if ratio is None else (*ratio.rounds, ratio.minima)))
    counts = [fidelity.agreeing, fidelity.right or 0]
    counts += [] if paired is None else [paired.newly_right, paired.newly_wrong]
    samples = [fidelity.samples] if paired is None else [fidelity.samples, paired.samples]
    measured = bool(trial.rounds_ms) and all(1 / _LONGEST < time < _LONGEST for time in times)
    if ratio is not None:
        processes = ratio.processes or (len(ratio.rounds),)
        measured &= min(processes) > 0 and sum(processes) == len(ratio.rounds)
    shares = min(samples) > 0 and min(counts) >= 0 and max(counts) <= min(samples)
    powers = all(
        p == 0 or 1 / _STRONGEST < p < _STRONGEST
        for p in (fidelity.signal_power, fidelity.noise_power)
    )
    if not (measured and shares and powers and trial.file_bytes > 0):
        raise ValueError(f"the trial {trial.file!r} says what nobody measured")
    if Path(trial.file).name != trial.file or len(trial.file.encode()) > _LONGEST_NAME:
        raise ValueError(f"{trial.file!r} is not a name of a file")


def _beats(better: Sequence[float], worse: Sequence[float]) -> bool:
    return better != worse and all(a >= b for a, b in zip(better, worse, strict=True))
