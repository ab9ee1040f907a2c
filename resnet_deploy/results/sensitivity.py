"""What each layer costs in int8: accuracy that would come back in float, time that float takes."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from resnet_deploy.results.accuracy import PairedTop1
from resnet_deploy.results.base import Result
from resnet_deploy.results.closeness import SignalToNoise
from resnet_deploy.results.interval import median_interval

RESOLUTION = 0.005
"""Share of a run's time below which two files count as equally fast."""


@dataclass(frozen=True, kw_only=True)
class Fidelity(SignalToNoise):
    """How close a file is to the fp32 one on ``samples`` images of ``data``.

    ``agreeing`` images have the same top-1; powers are those of all logits. ``paired``
    compares with the labels, where there are some; ``right`` images have the class of their label.
    """

    DERIVED = ("sqnr_db", "agreement", "top1", "drop")

    data: str
    samples: int
    agreeing: int
    signal_power: float
    noise_power: float
    paired: PairedTop1 | None = None
    right: int | None = None

    @property
    def agreement(self) -> float:
        """Share of images with the top-1 of the fp32 file."""
        return self.agreeing / self.samples

    @property
    def top1(self) -> float | None:
        """Share of images whose label has the highest logit; None without labels."""
        return None if self.right is None else self.right / self.samples

    @property
    def drop(self) -> float | None:
        """Points of top-1 lost against the fp32 file; None without labels."""
        if self.paired is None:
            return None
        return 100 * (self.paired.newly_wrong - self.paired.newly_right) / self.paired.samples


@dataclass(frozen=True, kw_only=True)
class PairedTimes:
    """The int8 file and one with float layers, run alternately.

    ``int8_ns[r]`` and ``mixed_ns[r]`` are the fastest runs of round r, in nanoseconds.
    """

    DERIVED = ("slowdown", "interval", "lost_ms")

    int8_ns: tuple[int, ...]
    mixed_ns: tuple[int, ...]

    @property
    def slowdown(self) -> float:
        """How many times as long the float layers make a run: the median over the rounds."""
        return statistics.median(self._ratios)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the slowdown."""
        return median_interval(self._ratios)

    @property
    def int8_ms(self) -> float:
        """Milliseconds of a run of the int8 file."""
        return statistics.median(self.int8_ns) / 1e6

    @property
    def lost_ms(self) -> float:
        """Milliseconds per run that the float layers cost; below zero they are faster."""
        return (self.slowdown - 1) * self.int8_ms

    @property
    def _ratios(self) -> tuple[float, ...]:
        return tuple(b / a for a, b in zip(self.int8_ns, self.mixed_ns, strict=True))


def noise_removed(before: Fidelity, after: Fidelity) -> float:
    """Return the share of the noise in the logits that is gone; below zero there is more of it."""
    if before.noise_power == 0:
        return 0.0
    return 1 - after.noise_power / before.noise_power


def gain_per_ms(before: Fidelity, after: Fidelity, times: PairedTimes) -> float:
    """Return the share of the noise removed per millisecond lost.

    What is lost is taken from the upper end of the interval, and is at least 0.5 % of a run: what
    can't be told on a busy machine must not pass as costing nothing.
    """
    slowdown = max(times.interval[1] - 1, RESOLUTION)
    return noise_removed(before, after) / (slowdown * times.int8_ms)


@dataclass(frozen=True, kw_only=True)
class LayerSensitivity:
    """What stays to gain, and is lost, when one more layer stays in float.

    ``name`` is the torch module; ``modules`` are all that go to float: the layer, and the residual
    sum that its result is added to. ``int8`` is the file without them in float, ``mixed`` with.
    """

    DERIVED = ("sqnr_gain_db", "agreement_gain", "top1_gain", "noise_removed", "gain_per_ms")

    name: str
    modules: tuple[str, ...]
    int8: Fidelity
    mixed: Fidelity
    times: PairedTimes

    @property
    def sqnr_gain_db(self) -> float:
        """Signal to noise gained, in dB."""
        if self.int8.sqnr_db == self.mixed.sqnr_db:
            return 0.0  # and not infinity minus infinity
        return self.mixed.sqnr_db - self.int8.sqnr_db

    @property
    def agreement_gain(self) -> float:
        """Points of agreement with fp32 gained."""
        return 100 * (self.mixed.agreement - self.int8.agreement)

    @property
    def top1_gain(self) -> float | None:
        """Points of top-1 gained; None without labels."""
        if self.int8.drop is None or self.mixed.drop is None:
            return None
        return self.int8.drop - self.mixed.drop

    @property
    def noise_removed(self) -> float:
        """Share of the noise in the logits that is gone; below zero there is more of it."""
        return noise_removed(self.int8, self.mixed)

    @property
    def gain_per_ms(self) -> float:
        """Share of the noise removed per millisecond lost; see :func:`gain_per_ms`."""
        return gain_per_ms(self.int8, self.mixed, self.times)


@dataclass(frozen=True, kw_only=True)
class SensitivityReport(Result):
    """All layers that run in int8, the one that gives most for its time first.

    ``batch_size`` and ``threads`` are those of the times; empty ``layers``: there is one only.
    """

    DERIVED = ("method",)

    model: str
    layers: tuple[LayerSensitivity, ...]
    batch_size: int
    threads: int
    seconds: float

    @property
    def method(self) -> str:
        """How it was measured, in words."""
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return (
            "ONNX Runtime with all optimisations; time at batch size "
            f"{self.batch_size} on {threads} without spinning: both files alternately in one "
            "process, the fastest run of each round, the median ratio of the rounds"
        )


@dataclass(frozen=True, kw_only=True)
class MixedTrial:
    """A file with ``float_layers`` in float: how close it is to fp32, and what they cost.

    ``float_stream``: so is the residual stream. ``times`` is None when all is int8.
    """

    float_layers: tuple[str, ...]
    fidelity: Fidelity
    times: PairedTimes | None = None
    float_stream: bool = False


@dataclass(frozen=True, kw_only=True)
class BudgetReport:
    """The search for a file that keeps an accuracy budget; its first trial is all int8.

    ``max_drop`` is in points of top-1, ``min_agreement`` a share; None is not asked for.
    """

    DERIVED = ("held", "float_layers", "float_stream")

    max_drop: float | None
    min_agreement: float | None
    trials: tuple[MixedTrial, ...]

    @property
    def best(self) -> MixedTrial:
        """The trial that misses the budget least; of equals, the one with least in float."""
        return min(
            self.trials,
            key=lambda trial: (self.missed(trial), len(trial.float_layers), trial.float_stream),
        )

    @property
    def held(self) -> bool:
        """Whether the best trial keeps the budget."""
        return self.missed(self.best) == 0

    @property
    def float_layers(self) -> tuple[str, ...]:
        """The layers that the best trial has in float."""
        return self.best.float_layers

    @property
    def float_stream(self) -> bool:
        """Whether the best trial has the residual stream in float."""
        return self.best.float_stream

    @property
    def facts(self) -> dict[str, Any]:
        """What a card says of it."""
        reached = self.best.fidelity
        return {
            "max_drop": self.max_drop,
            "min_agreement": self.min_agreement,
            "float_layers": list(self.float_layers),
            "budget_data": reached.data,
            "budget_samples": reached.samples,
            "drop": None if reached.drop is None else round(reached.drop, 4),
            "agreement": round(reached.agreement, 6),
        }

    def missed(self, trial: MixedTrial) -> float:
        """Return by how many points ``trial`` misses the budget; 0 when it keeps it."""
        found, missed = trial.fidelity, 0.0
        if self.max_drop is not None:
            assert found.drop is not None, "a drop in top-1 is asked for on labelled images only"
            missed += max(0.0, found.drop - self.max_drop)
        if self.min_agreement is not None:
            missed += 100 * max(0.0, self.min_agreement - found.agreement)
        # A share of images times 100 is not exact: 0.29 * 100 is 28.999999999999996.
        return missed if missed > 1e-9 else 0.0
