"""What the fp32 file brings and costs in bfloat16 on OpenVINO, beside int8, and in words."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import ClassVar

from resnet_deploy.results.interval import median_interval
from resnet_deploy.results.worth import LEAST_AGREEMENT, LEAST_GAIN

HOW = "resnet-deploy bench MODEL.onnx --runner ort --runner openvino-bf16"
"""Measures it again."""


@dataclass(frozen=True, kw_only=True)
class Bf16Figures:
    """The fp32 file on OpenVINO in bfloat16; no other file, no calibration.

    ``fp32_ns[r]`` and ``bf16_ns[r]`` are the fastest runs of round r: float32 on the runtime of the
    int8 file and bfloat16 on OpenVINO, interleaved, batch size 1. ``sqnr_db`` and ``agreement`` are
    of the outputs beside those of fp32 on ``samples`` images, None where there is no such answer.
    ``unmeasured`` is why all of that is missing, empty where it is not.
    """

    DERIVED: ClassVar[tuple[str, ...]] = ("ratio", "interval")

    fp32_ns: tuple[int, ...] = ()
    bf16_ns: tuple[int, ...] = ()
    sqnr_db: float | None = None
    agreement: float | None = None
    samples: int = 0
    unmeasured: str = ""

    @property
    def ratios(self) -> tuple[float, ...]:
        """How many times as fast as fp32 it is in each round."""
        return tuple(a / b for a, b in zip(self.fp32_ns, self.bf16_ns, strict=True))

    @property
    def ratio(self) -> float | None:
        """How many times as fast as fp32 it is in the middle round."""
        return statistics.median_low(self.ratios) if self.ratios else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % confidence interval of the ratio."""
        return median_interval(self.ratios) if self.ratios else None

    def is_better(self, int8_ratio: float, *, int8_pays: bool) -> bool:
        """Return whether it is certainly faster than fp32, keeps its answers, and int8 is no match.

        Args:
            int8_ratio: how many times as fast as fp32 int8 is.
            int8_pays: int8 is fast enough and keeps enough answers, as far as is known.
        """
        if self.ratio is None or self.interval is None or self.interval[0] < LEAST_GAIN:
            return False
        keeps = self.agreement is None or self.agreement >= LEAST_AGREEMENT
        return keeps and (not int8_pays or self.ratio > int8_ratio)

    def text(self, int8_ratio: float, *, int8_pays: bool) -> str:
        """Return one sentence, without its full stop; arguments as for :meth:`is_better`."""
        if self.unmeasured:
            return f"not measured whether bf16 would be the better deal: {self.unmeasured}"
        better = self.is_better(int8_ratio, int8_pays=int8_pays)
        deal = "the better deal" if better else "no better deal"
        return f"bf16 on OpenVINO is {deal}: {self.figures}" + f"; {HOW}" * better

    @property
    def figures(self) -> str:
        """What was measured."""
        assert self.ratio is not None, "it was measured"
        assert self.interval is not None, "it was measured"
        low, high = self.interval
        end = f"{high:.2f}" if math.isfinite(high) else "any"
        found = [
            f"the fp32 file is {self.ratio:.2f} times as fast so (95 % interval {low:.2f} to {end})"
        ]
        if self.sqnr_db == math.inf:
            found.append("identical outputs")
        elif self.sqnr_db is not None:
            found.append(f"outputs {self.sqnr_db:.1f} dB above the noise")
        if self.agreement is not None:
            equal = round(self.agreement * self.samples)
            found.append(f"the answer of fp32 on {equal} of {self.samples} images")
        return ", ".join(found)
