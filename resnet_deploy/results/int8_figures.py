"""What was measured of an int8 file beside its fp32 one, and what follows by the rule."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import ClassVar

from resnet_deploy.results.bf16_figures import Bf16Figures
from resnet_deploy.results.interval import median_interval
from resnet_deploy.results.isa import SaturationReport
from resnet_deploy.results.worth import (
    LEAST_GAIN,
    NOT_ASKED,
    UNTOLD,
    Worth,
    share_interval,
    worth,
)

SMALL_MACS = 20_000_000
"""Below, the fixed cost of every operator outweighs its arithmetic."""

DECIDED = ("class", "decision")
"""Answers of which a share must be kept: of labels some are always at the threshold, and of two
images that are equally near rounding takes one."""

MUCH_FASTER = 1.5
"""How many times as fast int8 must be to need no word on why it is not more."""

_CALM = 1.1
"""By what factor rounds may be longer than the fastest on a machine that has nothing else to do."""


@dataclass(frozen=True, kw_only=True)
class Int8Figures:
    """What int8 brings and costs.

    ``fp32_ns[r]`` and ``int8_ns[r]`` are the fastest runs of round r, the two files interleaved,
    batch size 1. ``sqnr_db`` and ``agreement`` compare the outputs with fp32 on ``samples`` images,
    None where nothing was compared; ``answer`` is what agrees, such as the class, and there is no
    agreement of features; ``calibrated`` if those images set the ranges; ``untold`` is why their
    answers tell nothing, if so. The cosines are of embeddings. ``float_layers`` stayed in float,
    whoever wanted it; ``float_stages`` are parts of the net that stayed so because it is faster, in
    words, and ``all_int8_ratio`` is what the file without them brought. ``float_share`` is the part
    of the time that goes into float operators and conversions, ``float_kinds`` are the operators
    that no int8 net has in int8, with their numbers; both where there are float operators.
    ``target`` is what CPUs the file is for, where that was asked for and this one is another;
    both files were timed on ``runtime``. ``bf16`` is what the fp32 file brings in bfloat16, asked
    where int8 brings little.
    """

    DERIVED: ClassVar[tuple[str, ...]] = (
        "worth",
        "fp32_ms",
        "int8_ms",
        "ratio",
        "interval",
        "fastest_ratio",
        "agreement_interval",
        "worth_it",
        "offered",
    )

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
    untold: str | None = None
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
    runtime: str = "ort"
    bf16: Bf16Figures | None = None

    @property
    def worth(self) -> Worth:
        """The verdict in short."""
        return worth(self.interval, self.agreement_interval)

    @property
    def ratio(self) -> float:
        """How many times as fast int8 is: that of the middle round, of two the lower one.

        So it is the quotient of two times that were measured, one right after the other.
        """
        return self._middle[0] / self._middle[1]

    @property
    def fp32_ms(self) -> float:
        """Milliseconds of fp32 in the middle round."""
        return self._middle[0] / 1e6

    @property
    def int8_ms(self) -> float:
        """Milliseconds of int8 in the middle round."""
        return self._middle[1] / 1e6

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the ratio."""
        return median_interval(self.ratios)

    @property
    def fastest_ratio(self) -> float:
        """How many times as fast int8 is by the fastest run of each file."""
        return min(self.fp32_ns) / min(self.int8_ns)

    @property
    def agreement_interval(self) -> tuple[float, float]:
        """95 % confidence interval of the share of pictures that keep the answer of fp32.

        All of [0, 1] where nothing tells it, and 1 where there is no such answer to keep.
        """
        if self.sqnr_db is None:
            return UNTOLD
        if self.answer not in DECIDED:
            return NOT_ASKED
        if self.untold is not None or self.agreement is None:
            return UNTOLD
        return share_interval(self.equal, self.samples)

    @property
    def worth_it(self) -> bool:
        """True when int8 is shown to be fast enough, and to keep enough answers."""
        return self.worth is Worth.WORTH_IT

    @property
    def offered(self) -> bool:
        """False where fp32 should be kept, for want of speed.

        Where the rounds leave it open, the fastest run of each file may show the gain as well:
        other programs lengthen runs and never shorten them. What a small model takes here says
        nothing of the target, nor what one for other CPUs does.
        """
        gains = max(self.ratio, self.fastest_ratio) >= LEAST_GAIN
        return self._decided_elsewhere or (gains and not self.slow)

    @property
    def brings_little(self) -> bool:
        """Whether something else than int8 may be the better deal on this CPU."""
        little = self.ratio < MUCH_FASTER or self.worth is Worth.NOT_WORTH_IT
        return little and not self._decided_elsewhere

    @property
    def slow(self) -> bool:
        """True when it is shown that int8 is not fast enough."""
        return self.interval[1] < LEAST_GAIN

    @property
    def busy(self) -> bool:
        """Whether something else took the cores while the rounds ran."""
        return self.spread > _CALM

    @property
    def spread(self) -> float:
        """How many times as long as its fastest run a file's middle round took, at most."""
        return max(statistics.median(runs) / min(runs) for runs in (self.fp32_ns, self.int8_ns))

    @property
    def _decided_elsewhere(self) -> bool:
        return self.macs < SMALL_MACS or self.target is not None

    @property
    def equal(self) -> int:
        """On how many images the answer is that of fp32."""
        return round((self.agreement or 0.0) * self.samples)

    @property
    def _middle(self) -> tuple[int, int]:
        pairs = zip(self.fp32_ns, self.int8_ns, strict=True)
        ordered = sorted(pairs, key=lambda pair: pair[0] / pair[1])
        return ordered[(len(ordered) - 1) // 2]

    @property
    def ratios(self) -> tuple[float, ...]:
        """How many times as fast int8 is in each round."""
        return tuple(a / b for a, b in zip(self.fp32_ns, self.int8_ns, strict=True))
