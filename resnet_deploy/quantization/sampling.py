"""Which values of a large activation are counted: a few whole rows of every channel.

Images differ far more than the rows of one image do, so a part of each image says as much about a
tensor's distribution as all of it, in a fraction of the time. Which rows are taken depends on the
tensor's shape alone: the result does not depend on the order of the images. Extremes are always
taken from every value.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

ENOUGH_VALUES = 32768
"""Values per image and tensor beyond which rows are left out."""


def sample_rows(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return every k-th row of ``values`` ``(N, C, H, W)``, or all when they are few.

    k and H have no common divisor, so that the borders of the picture, where padding shows, are
    taken as often as its middle.
    """
    per_image = math.prod(values.shape[1:])
    if values.ndim < 3 or per_image <= ENOUGH_VALUES:
        return values
    stride = math.ceil(per_image / ENOUGH_VALUES)
    while math.gcd(stride, values.shape[-2]) > 1:
        stride += 1
    rows = values.reshape(len(values), -1, values.shape[-1])  # (N, C * H, W)
    return rows[:, ::stride]
