"""What an int8 file brings and costs on the CPU where it was made, in words.

Whether it is worth it is the rule of :mod:`resnet_deploy.results.worth`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from resnet_deploy.results.closeness import apart, short_of_one
from resnet_deploy.results.int8_figures import DECIDED, MUCH_FASTER, SMALL_MACS, Int8Figures
from resnet_deploy.results.worth import (
    FEWEST_PICTURES,
    LEAST_AGREEMENT,
    LEAST_GAIN,
    Worth,
)

RANDOM_WEIGHTS = "its weights are random"
"""Why the classes of an untrained net tell nothing; no pictures help."""

SYNTHETIC = "they are synthetic"
"""Why the classes of images that show nothing do not."""

_NAMED = 3

_MATTERS = 0.1
"""Part of the time from which on float operators are why int8 gains little."""

_FRACTIONS = {"half": 1 / 2, "a third": 1 / 3, "a quarter": 1 / 4}
_NEAR = 0.03


@dataclass(frozen=True, kw_only=True)
class Verdict(Int8Figures):
    """The figures of an int8 file, and what they say."""

    DERIVED = (*Int8Figures.DERIVED, "text")

    @property
    def keep_fp32(self) -> str:
        """Why there is no int8 file, in one line."""
        what = "all of it or in part, " if self.all_int8_ratio is not None else ""
        found = f"{what}{_times(self.ratio)} times as fast on this CPU{self._on} ({self._limits})"
        other = "".join(f"; {sentence}" for sentence in self._in_bf16())
        if self.slow:
            return f"keep fp32: int8 is {found}: {self._reason()}{other}"
        return f"keep fp32: nothing shows here that int8 is faster: {found}{other}"

    @property
    def text(self) -> str:
        """One paragraph for the user."""
        pair = f"{_ms(self.int8_ms)} ms instead of {_ms(self.fp32_ms)} ms"
        threads = f"{self.threads} thread{'s' * (self.threads != 1)}"
        figures = (
            f"{_times(self.ratio)} times as fast{self._on} ({pair} in the middle one of "
            f"{len(self.ratios)} paired rounds, {self._limits}; batch 1, {threads})",
            self._size,
            *self._answers(),
        )
        parts = (
            f"{self._start} ({self.cpu}): {', '.join(figures)}",
            *self._doubts(),
            *self._why(),
            *self._all_the_same(),
            *self._mixed(),
            *self._costs(),
            *self._seen(),
            *self._in_bf16(),
            *self._elsewhere(),
        )
        return ". ".join(parts) + "."

    @property
    def lasting(self) -> str:
        """The same without what was timed: equal for every file made in the same way."""
        made_for = "" if self.target is None else f"made for {self.target}: "
        start = f"{made_for}measure on the target whether int8 is faster there"
        mixed = (f"{self._stages()} in float",) if self.float_stages else ()
        parts = (start, *self._answers(), *mixed, *self._costs(lasting=True), *self._seen())
        return ". ".join((*parts, *self._elsewhere())) + "."

    @property
    def _start(self) -> str:
        if self.worth is Worth.UNCLEAR:
            busy = "on this busy machine " if self.busy else ""
            return f"can't tell {busy}whether int8 is worth it"
        if self.worth is Worth.TOO_FEW:
            return "too few pictures to tell whether int8 is worth it on this CPU"
        return f"{self.worth.value} on this CPU"

    @property
    def _on(self) -> str:
        return " with OpenVINO" if self.runtime == "openvino" else ""

    @property
    def _limits(self) -> str:
        low, high = self.interval
        end = _times(high) if math.isfinite(high) else "any"
        return f"95 % interval {_times(low)} to {end}, threshold {LEAST_GAIN:.2f}"

    @property
    def _size(self) -> str:
        part = self.int8_bytes / self.fp32_bytes
        near = [name for name, value in _FRACTIONS.items() if abs(part - value) <= _NEAR]
        megabytes = (
            f"{_digits(self.int8_bytes / 1e6)} MB instead of {_digits(self.fp32_bytes / 1e6)}"
        )
        return f"{near[0] if near else f'{part:.0%}'} of the size ({megabytes} MB)"

    def _answers(self) -> tuple[str, ...]:
        """Return on how many pictures the answer is that of fp32, and what must be."""
        if self.sqnr_db is None:
            return ("its answers were not compared with those of fp32",)
        if self.answer not in DECIDED:
            return ()
        if self.agreement is None:
            return (f"no {self.answer} could be compared on the {self.samples} images",)
        pictures = "pictures" if self.untold is None else "images"
        same = f"the same {self.answer} on {self.equal} of {self.samples} {pictures}"
        if self.untold is not None:
            return (f"{same}, which tells nothing: {self.untold}",)
        low, high = self.agreement_interval
        limits = f"95 % interval {_share(low)} to {_share(high)}, threshold {LEAST_AGREEMENT:.0%}"
        return (f"{same} ({limits})",)

    def _doubts(self) -> tuple[str, ...]:
        """Return what was seen where nothing can be told, and what to do about it."""
        if self.worth is Worth.UNCLEAR and self.busy:
            return (
                f"half of the rounds took more than {self.spread:.1f} times as long as the "
                f"fastest, and by the fastest run of each file it is {_times(self.fastest_ratio)} "
                "times as fast: run it again when nothing else runs",
            )
        if self.worth is Worth.UNCLEAR:
            return ("the interval holds the threshold: it is too close to tell",)
        if self.worth is Worth.TOO_FEW and self.untold != RANDOM_WEIGHTS:
            few = f"{FEWEST_PICTURES} or more" if self.samples < FEWEST_PICTURES else "more"
            return (f"give {few} pictures of what it will see with --calibration",)
        return ()

    def _why(self) -> tuple[str, ...]:
        if self.worth is Worth.NOT_WORTH_IT and not self.slow:
            return (f"why: it gives another {self.answer} too often",)
        if self.ratio >= MUCH_FASTER or self.worth is Worth.UNCLEAR:
            return ()
        return (f"why{'' if self.slow else ' not more'}: {self._reason()}",)

    def _all_the_same(self) -> tuple[str, ...]:
        """Return why a file is offered that is not faster here."""
        if not self.slow or not self.offered:
            return ()
        if self.target is not None:
            return (f"it is made for {self.target}: this CPU's clock does not decide",)
        return ("small models are written all the same; on a CPU like this one keep fp32",)

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

    def _costs(self, *, lasting: bool = False) -> tuple[str, ...]:
        if self.sqnr_db is None:
            return ()
        noise = "identical outputs"
        if self.sqnr_db < math.inf:
            noise = f"outputs {self.sqnr_db:.1f} dB above the noise"
        if self.mean_cosine is not None and self.least_cosine is not None and not lasting:
            mean = short_of_one(self.mean_cosine, "4f")
            least = short_of_one(self.least_cosine, "4f")
            noise += f", cosine {mean} on average and {least} at least"
        if self.agreement is None or self.answer in DECIDED or (lasting and self.mean_cosine):
            return (f"it cost: {noise}",)
        share = short_of_one(self.agreement, "1%")
        if self.answer == "label":
            return (f"it cost: {noise}, {share} of the labels that either gives are the same",)
        return (f"it cost: {noise}, the {self.answer} of fp32 on {share} of {self.samples} images",)

    def _seen(self) -> tuple[str, ...]:
        """Return what makes the figures of accuracy better than they may be on other images."""
        measured = self.calibrated and self.sqnr_db is not None
        return ("measured on images that helped to set its ranges",) if measured else ()

    def _in_bf16(self) -> tuple[str, ...]:
        """Return what the fp32 file brings in bfloat16, where that was asked."""
        if self.bf16 is None:
            return ()
        pays = self.offered and self.worth is not Worth.NOT_WORTH_IT
        return (self.bf16.text(self.ratio, int8_pays=pays),)

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
            f"{_some(layers)}; without --allow-overflow they would not",
        )


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + f" and {more} more" * (more > 0)


def _times(value: float) -> str:
    """Return a ratio with two decimals, or more where it would round to the threshold."""
    return _short_of(value, LEAST_GAIN, "2f")


def _share(value: float) -> str:
    """Return a share with one decimal, or more where it would round to the threshold, or to 1."""
    return _short_of(value, LEAST_AGREEMENT, "1%") if value < 0.99 else short_of_one(value, "1%")


def _short_of(value: float, bound: float, style: str) -> str:
    text = f"{value:.{style}}"
    return apart(value, bound, style)[0] if value < bound and text == f"{bound:.{style}}" else text


def _digits(value: float, significant: int = 3) -> str:
    """Return so many significant digits."""
    digits = max(0, significant - 1 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:.{digits}f}"


def _ms(value: float) -> str:
    """Return four significant digits: their quotients are those of the times."""
    return _digits(value, 4)
