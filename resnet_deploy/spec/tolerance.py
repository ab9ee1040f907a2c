"""When two runs of a model count as equal."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from resnet_deploy.errors import SpecError


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """When two runs of a model count as equal.

    ``max_relative`` bounds max |difference| over max |reference|; ``min_sqnr_db`` and
    ``min_cosine`` bound signal to noise and direction of the logits; ``min_agreement`` is the
    share of samples with the same top-1. None: not checked.

    Raises:
        SpecError: a bound is NaN.
    """

    max_relative: float | None = None
    min_sqnr_db: float | None = None
    min_cosine: float | None = None
    min_agreement: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            asked = getattr(self, field.name)
            # Nothing is beyond NaN, so that no check against it could fail.
            if asked is not None and math.isnan(asked):
                raise SpecError(f"{field.name} must be a number, not {asked}")

    def over(self, default: Tolerance) -> Tolerance:
        """Return ``default`` with what is asked here in place of its own."""
        asked = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(default, **{key: value for key, value in asked.items() if value is not None})


FP32_TOLERANCE = Tolerance(max_relative=1e-5, min_agreement=1.0)
"""Two float32 implementations of the same graph; only the order of sums differs."""

FP16_TOLERANCE = Tolerance(max_relative=1e-2, min_sqnr_db=40.0)
"""Half precision against the same weights in float32: a rounding is 2**-11 of a value (IEEE 754),
0.05 %, and one behind every layer adds up to some 0.5 % over a hundred layers. A wrong layer is far
beyond. Classes this close to each other may change places, as the noise of int8 does. ResNets have
58 to 67 dB; the roundings of a hundred layers that all add up leave 46."""

FP16_MIN_AGREEMENT = 0.98
"""Top-1 agreement of half precision with float32, asked where :data:`INT8_MIN_AGREEMENT` is."""

INT8_TOLERANCE = Tolerance(min_sqnr_db=15.0, min_cosine=0.98)
"""Int8 against fp32. A sound int8 ResNet has 25 to 45 dB; a broken layer leaves a few."""

INT8_MIN_AGREEMENT = 0.9
"""Top-1 agreement of int8 with fp32, required of trained nets on at least 100 real images."""

ENOUGH_FOR_AGREEMENT = 100
