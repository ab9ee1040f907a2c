"""Whether an int8 file is worth it on the CPU where it was made."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from resnet_deploy.results.closeness import short_of_one
from resnet_deploy.results.interval import median_interval
from resnet_deploy.results.isa import SaturationReport

WORTH_IT = 1.5
"""How many times as fast int8 must be to need no word on why it is not more."""

OFFERED = 1.1
"""How many times as fast int8 must be to be offered at all."""

SMALL_MACS = 20_000_000
"""Below, the fixed cost of every operator outweighs its arithmetic."""

_NAMED = 3

_MATTERS = 0.1
"""Part of the time from which on float operators are why int8 gains little."""

_CALM = 1.1
"""By what factor median and fastest runs may differ on a machine that has nothing else to do."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What int8 brings and costs.

    ``fp32_ns[r]`` and ``int8_ns[r]`` are the fastest runs of round r, the two files in turns, batch
    size 1. ``sqnr_db`` and ``agreement`` compare the outputs with fp32 on ``samples`` images, None
    where nothing was compared; ``answer`` is what agrees, such as the class, and there is no
    agreement of features; ``calibrated`` if those images set the ranges. The cosines are of
    embeddings. ``float_layers`` stayed in float, whoever wanted it; ``float_stages`` are parts of
    the net that stayed so because it is faster, in words, and ``all_int8_ratio`` is what the file
    without them brought. ``float_share`` is the part of the time that goes into float operators and
    conversions, ``float_kinds`` are the operators that no int8 net has in int8, with their numbers;
    both where there are float operators. ``target`` is what CPUs the file is for, where that was
    asked for and this one is another.
    """

    DERIVED = ("ratio", "interval", "fastest_ratio", "worth_it", "offered", "text")

    cpu: str
    vnni: bool
    threads: int
    fp32_ns: tuple[int, ...]
    int8_ns: tuple[int, ...]
    fp32_bytes: int
    int8_bytes: int
    macs: int
    sqnr_db: float | None = None
    agreement: float | None = None
    samples: int = 0
    calibrated: bool = False
    answer: str = "class"
    mean_cosine: float | None = None
    least_cosine: float | None = None
    float_layers: tuple[str, ...] = ()
    float_stages: tuple[str, ...] = ()
    all_int8_ratio: float | None = None
    float_share: float | None = None
    float_kinds: tuple[tuple[str, int], ...] = ()
    slowest: tuple[tuple[str, float], ...] = ()
    saturation: SaturationReport | None = None
    target: str | None = None

    @property
    def ratio(self) -> float:
        """How many times as fast int8 is: the median over the rounds."""
        return statistics.median(self._ratios)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the ratio."""
        return median_interval(self._ratios)

    @property
    def fastest_ratio(self) -> float:
        """How many times as fast int8 is by the fastest run of each file."""
        return min(self.fp32_ns) / min(self.int8_ns)

    @property
    def gain(self) -> float:
        """The larger of both: other programs lengthen runs, and rarely those of both files alike.

        A gain that only one of the two shows is one; a busy machine must not hide it.
        """
        return max(self.ratio, self.fastest_ratio)

    @property
    def worth_it(self) -> bool:
        """True when int8 is well faster."""
        return self.gain >= WORTH_IT

    @property
    def faster(self) -> bool:
        """True when int8 is as much faster here as a file that is offered for it."""
        return self.gain >= OFFERED

    @property
    def offered(self) -> bool:
        """False where fp32 should be kept.

        What a small model takes here says nothing of the target, nor what one for other CPUs does.
        """
        return self.faster or self.macs < SMALL_MACS or self.target is not None

    @property
    def keep_fp32(self) -> str:
        """Why there is no int8 file, in one line."""
        what = "all of it or in part, " if self.all_int8_ratio is not None else ""
        return (
            f"keep fp32: int8 is {what}{self.gain:.2f} times as fast at best on this CPU, less "
            f"than {OFFERED} ({self._reason()})"
        )

    @property
    def text(self) -> str:
        """One paragraph for the user."""
        low, high = self.interval
        times = f"{self.ratio:.2f} times as fast"
        if not 1 / _CALM < self.fastest_ratio / self.ratio < _CALM:
            times = (
                f"{self.fastest_ratio:.2f} times as fast by the fastest runs, {self.ratio:.2f} by "
                "the median of what a busy machine gave"
            )
        speed = (
            f"{self._word} on this CPU ({self.cpu}): "
            f"{min(self.int8_ns) / 1e6:.2f} ms instead of {min(self.fp32_ns) / 1e6:.2f} ms, "
            f"{times} (95 % interval {low:.2f} to {high:.2f}, batch 1, "
            f"{self.threads} threads), {self.int8_bytes / 1e6:.1f} MB instead of "
            f"{self.fp32_bytes / 1e6:.1f} MB"
        )
        why = () if self.worth_it else (f"why: {self._reason()}",)
        parts = (
            speed,
            *why,
            *self._all_the_same(),
            *self._mixed(),
            *self._accuracy(),
            *self._seen(),
            *self._elsewhere(),
        )
        return ". ".join(parts) + "."

    @property
    def lasting(self) -> str:
        """The same without what was timed: equal for every file made in the same way."""
        if self.macs < SMALL_MACS:
            start = "a small model: measure on the target whether int8 is faster there"
        elif self.worth_it:
            start = f"worth it where it was made: well over {WORTH_IT} times as fast as fp32"
        elif self.faster:
            start = (
                f"faster where it was made, by less than {WORTH_IT}: {self._reason(lasting=True)}"
            )
        elif self.target is not None:
            start = f"made for {self.target}: measure there whether int8 is faster"
        else:
            start = f"not worth it where it was made: {self._reason(lasting=True)}"
        mixed = (f"{self._stages()} in float",) if self.float_stages else ()
        accuracy = (*self._accuracy(lasting=True), *self._seen())
        parts = (start, *mixed, *accuracy, *self._elsewhere())
        return ". ".join(parts) + "."

    @property
    def _word(self) -> str:
        if self.worth_it:
            return "worth it"
        if self.faster:
            return "faster"
        return "slower than fp32" if self.gain < 1 else "not worth it"

    def _all_the_same(self) -> tuple[str, ...]:
        """Return why a file is offered that is not faster here."""
        if self.faster or not self.offered:
            return ()
        if self.target is not None:
            return (f"it is made for {self.target}: this CPU's clock does not decide",)
        return ("small models are written all the same; on a CPU like this one keep fp32",)

    @property
    def _ratios(self) -> tuple[float, ...]:
        return tuple(a / b for a, b in zip(self.fp32_ns, self.int8_ns, strict=True))

    def _reason(self, *, lasting: bool = False) -> str:
        if not self.vnni:
            return "the CPU has no int8 dot product (VNNI, or ARM's), where most of the gain is"
        if self.float_kinds:
            share = "" if lasting or self.float_share is None else f"{self.float_share:.0%} of "
            named = ", ".join(f"{count} {kind}" for kind, count in self.float_kinds[:_NAMED])
            return f"{share}{'its' if share else 'some'} time goes into float operators: {named}"
        matters = lasting or self.float_share is None or self.float_share >= _MATTERS
        if self.float_layers and not self.float_stages and matters:
            return f"these layers run in float: {_some(self.float_layers)}"
        if self.macs < SMALL_MACS:
            return (
                f"the model is small, {self.macs / 1e6:.0f} million multiply-accumulates: what "
                "every operator costs outweighs its arithmetic"
            )
        memory = "it moves memory more than it multiplies"
        if lasting or not self.slowest:
            return memory
        named = ", ".join(f"{layer} {share:.0%}" for layer, share in self.slowest)
        return (
            f"{memory}; of its time in int8, most goes into {named} (`resnet-deploy bench "
            "--profile` has them all)"
        )

    def _mixed(self) -> tuple[str, ...]:
        """Return what stays float because it is faster so, and what float operators cost."""
        found: tuple[str, ...] = ()
        if self.float_stages and self.all_int8_ratio is not None:
            found += (
                f"{self._stages()} in float, which is faster than all in int8 "
                f"({self.all_int8_ratio:.2f} times as fast as fp32)",
            )
        if self.float_share is not None and not self.float_kinds and not self.float_stages:
            found += (f"{self.float_share:.0%} of its time is float",)
        return found

    def _stages(self) -> str:
        stay = "stays" if len(self.float_stages) == 1 else "stay"
        return f"{' and '.join(self.float_stages)} {stay}"

    def _accuracy(self, *, lasting: bool = False) -> tuple[str, ...]:
        if self.sqnr_db is None:
            return ()
        noise = "identical outputs"
        if self.sqnr_db < math.inf:
            noise = f"outputs {self.sqnr_db:.1f} dB above the noise"
        cosine = ""
        if self.mean_cosine is not None and self.least_cosine is not None:
            if lasting:  # as cards of embeddings have always said it: equal bytes
                return (f"it cost: {noise}",)
            mean = short_of_one(self.mean_cosine, "4f")
            least = short_of_one(self.least_cosine, "4f")
            cosine = f", cosine {mean} on average and {least} at least"
        if self.agreement is None:
            return (f"it cost: {noise}{cosine}",)
        share = short_of_one(self.agreement, "1%")
        if self.answer == "label":
            return (f"it cost: {noise}, {share} of the labels that either gives are the same",)
        return (
            f"it cost: {noise}{cosine}, the {self.answer} of fp32 on {share} of "
            f"{self.samples} images",
        )

    def _seen(self) -> tuple[str, ...]:
        """Return what makes the figures of accuracy better than they may be on other images."""
        measured = self.calibrated and self.sqnr_db is not None
        return ("measured on images that helped to set its ranges",) if measured else ()

    def _elsewhere(self) -> tuple[str, ...]:
        if self.saturation is None:
            return ()
        if self.saturation.always_safe:
            return ("x86 CPUs without VNNI give the same answers",)
        layers = [layer.name for layer in self.saturation.unsafe_layers]
        if not layers:
            images = self.saturation.images
            return (f"x86 CPUs without VNNI give the same answers on all {images} images tried",)
        return (
            "x86 CPUs without VNNI give other answers: products overflow in "
            f"{_some(layers)}; --target-isa x86-avx2 makes a file for them",
        )


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + f" and {more} more" * (more > 0)
