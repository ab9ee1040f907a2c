"""How close two outputs are: the one place that turns sums over samples into figures.

Everything that compares outputs keeps sums, or which samples agree, and takes its figures from
here: of a layer, of an output, of a whole dataset. NaN counts as the worst there is, in every
figure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from resnet_deploy.spec import Tolerance


def share(flags: Sequence[bool]) -> float:
    """Return the share of samples that ``flags`` is true of.

    Raises:
        ValueError: there are no samples.
    """
    if not flags:
        raise ValueError("a share of no samples")
    return sum(flags) / len(flags)


class SignalToNoise:
    """What has sums of squares: of the reference's values, and of the differences from them."""

    signal_power: float
    noise_power: float

    @property
    def sqnr_db(self) -> float:
        """10 log10 of signal over noise, in dB; infinite where nothing differs."""
        signal, noise = self.signal_power, self.noise_power
        if noise == 0:
            return math.inf
        # Minus infinite: nothing but noise, or NaN in either.
        return 10 * math.log10(signal / noise) if signal > 0 and noise < math.inf else -math.inf


class SameTop1:
    """What knows, sample by sample, whether both pick the same class; empty without classes."""

    top1_equal: tuple[bool, ...]

    @property
    def agreement(self) -> float | None:
        """Share of samples with the same top-1; None where no classes were compared."""
        return share(self.top1_equal) if self.top1_equal else None


@dataclass(frozen=True, kw_only=True)
class OutputDiff(SignalToNoise):
    """How far one tensor of a candidate is from its reference, over all samples compared.

    ``name`` is the torch module (``layer3.0.conv2``) or the output; powers are sums of squares.

    Raises:
        ValueError: no sample was compared.
    """

    DERIVED = ("relative", "sqnr_db", "cosine")

    name: str
    samples: int
    max_abs: float
    max_reference: float
    signal_power: float
    noise_power: float
    dot: float
    candidate_power: float

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"{self.name}: a comparison of nothing")

    def merge(self, part: OutputDiff) -> OutputDiff:
        """Return the difference over the samples of both, which are of the same tensor.

        The parts of a batch, of a dataset or of several processes give what the whole does, except
        for the order in which floats are added.
        """
        return replace(
            self,
            samples=self.samples + part.samples,
            max_abs=_larger(self.max_abs, part.max_abs),
            max_reference=_larger(self.max_reference, part.max_reference),
            signal_power=self.signal_power + part.signal_power,
            noise_power=self.noise_power + part.noise_power,
            dot=self.dot + part.dot,
            candidate_power=self.candidate_power + part.candidate_power,
        )

    @property
    def relative(self) -> float:
        """Max |difference| over max |reference|."""
        if self.max_reference == 0:
            return 0.0 if self.max_abs == 0 else math.inf
        return _or_worst(self.max_abs / self.max_reference, math.inf)

    @property
    def cosine(self) -> float:
        """Cosine of the angle between the two tensors, seen as vectors; minus infinite for NaN."""
        norm = math.sqrt(self.signal_power * self.candidate_power)
        # Two tensors of zeros point the same way.
        found = float(self.noise_power == 0) if norm == 0 else self.dot / norm
        return _or_worst(found, -math.inf)

    def failures(self, tolerance: Tolerance) -> tuple[str, ...]:
        """Return in words which bounds of ``tolerance`` the difference breaks."""
        found = []
        if not math.isfinite(self.max_abs):
            found.append("NaN or infinity")
        largest = tolerance.max_relative
        if largest is not None and self.relative > largest:
            found.append("relative difference {} > {}".format(*apart(self.relative, largest, "3g")))
        decibels = tolerance.min_sqnr_db
        if decibels is not None and self.sqnr_db < decibels:
            found.append("SQNR {} dB < {} dB".format(*apart(self.sqnr_db, decibels, "1f")))
        cosine = tolerance.min_cosine
        if cosine is not None and self.cosine < cosine:
            found.append("cosine {} < {}".format(*apart(self.cosine, cosine, "5f")))
        return tuple(found)


def broken_bounds(
    outputs: Sequence[OutputDiff],
    agreement: float | None,
    tolerance: Tolerance,
    answer: str = "top-1",
) -> tuple[str, ...]:
    """Return in words which bounds of ``tolerance`` outputs and ``agreement`` break.

    ``answer`` is what agrees.
    """
    if not outputs:
        return ("nothing was compared",)
    found = []
    for output in outputs:
        name = f"{output.name}: " if len(outputs) > 1 else ""
        found += [f"{name}{failure}" for failure in output.failures(tolerance)]
    wanted = tolerance.min_agreement
    if wanted is not None and agreement is not None and agreement < wanted:
        found.append("{} agreement {} < {}".format(answer, *apart(agreement, wanted, "2%")))
    return tuple(found)


def apart(found: float, bound: float, style: str) -> tuple[str, str]:
    """Return two different numbers in as many digits as it takes to tell them apart.

    ``style`` is the fewest digits and how they are written, as in ``1f``, ``3g`` or ``2%``.
    """
    digits, kind = int(style[:-1]), style[-1]
    while digits < 17 and f"{found:.{digits}{kind}}" == f"{bound:.{digits}{kind}}":
        digits += 1
    return f"{found:.{digits}{kind}}", f"{bound:.{digits}{kind}}"


def short_of_one(value: float, style: str) -> str:
    """Return ``value`` as ``style`` says, with more digits where it would round up to 1."""
    text = f"{value:.{style}}"
    return apart(value, 1, style)[0] if value < 1 and text == f"{1:.{style}}" else text


def _or_worst(value: float, worst: float) -> float:
    return worst if math.isnan(value) else value


def _larger(a: float, b: float) -> float:
    """The maximum, or NaN where either is: Python's own depends on their order."""
    return math.nan if math.isnan(a) or math.isnan(b) else max(a, b)
