"""The one rule by which int8 is worth it, and the numbers that it rests on.

Two things count, each known within its 95 % interval: how many times as fast the file is, and the
share of pictures that keep the answer of fp32. Both must reach their threshold, and only what the
whole interval says is said. Size is told beside them and decides nothing.
"""

from __future__ import annotations

import enum
import math

from resnet_deploy.results.chance import binomial_tail
from resnet_deploy.spec import INT8_MIN_AGREEMENT

LEAST_GAIN = 1.1
"""How many times as fast int8 must be."""

LEAST_AGREEMENT = INT8_MIN_AGREEMENT
"""Share of pictures that must keep the answer of fp32."""

Interval = tuple[float, float]

UNTOLD: Interval = (0.0, 1.0)
"""The share of pictures, where nothing was found out about it."""

NOT_ASKED: Interval = (1.0, 1.0)
"""The share of pictures, where there is no such answer: features, embeddings, sets of labels."""

_MISSED = 0.025
"""Probability with which either end of a 95 % interval is passed."""


class Worth(str, enum.Enum):
    """What is said of an int8 file, from worst to best."""

    NOT_WORTH_IT = "not worth it"
    UNCLEAR = "can't tell"
    TOO_FEW = "too few pictures to tell"
    WORTH_IT = "worth it"

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return list(Worth).index(self)


def worth(gain: Interval, agreement: Interval) -> Worth:
    """Return what both intervals say.

    Neither end of either may become larger and the answer worse.

    Args:
        gain: of how many times as fast as fp32 int8 is.
        agreement: of the share of pictures that keep fp32's answer.
    """
    if gain[1] < LEAST_GAIN or agreement[1] < LEAST_AGREEMENT:
        return Worth.NOT_WORTH_IT
    if gain[0] < LEAST_GAIN:
        return Worth.UNCLEAR
    return Worth.WORTH_IT if agreement[0] >= LEAST_AGREEMENT else Worth.TOO_FEW


def share_interval(equal: int, samples: int) -> Interval:
    """Return the exact 95 % interval of a share of which ``equal`` of ``samples`` were seen.

    It never claims more than it may, however few the samples are, which Wilson's does.

    Source: C. J. Clopper, E. S. Pearson, The use of confidence or fiducial limits illustrated in
    the case of the binomial, Biometrika 26 (1934).
    """
    if samples < 1:
        return UNTOLD
    return _least_share(equal, samples), 1 - _least_share(samples - equal, samples)


def _least_share(equal: int, samples: int) -> float:
    """Return the share by which so many or more are equal in 1 of 40 trials."""
    if equal == 0:
        return 0.0
    low, high = 0.0, equal / samples
    for _ in range(50):
        middle = (low + high) / 2
        if binomial_tail(equal, samples, middle) < _MISSED:
            low = middle
        else:
            high = middle
    return low


FEWEST_PICTURES = math.ceil(math.log(_MISSED) / math.log(LEAST_AGREEMENT))
"""Of fewer, not even all with the same answer show enough: 36."""
