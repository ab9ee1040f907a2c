"""What is known about a layer's output without running it; no torch is needed to read it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ChannelStatistics:
    """Mean and standard deviation of each channel over images and positions, float32 ``(C,)``."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]
