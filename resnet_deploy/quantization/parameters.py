"""u8 codes for real numbers: a scale and a zero point per tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.quantization.ranges import Range


@dataclass(frozen=True)
class QuantizationParameters:
    """Code ``q`` in 0..255 stands for ``(q - zero_point) * scale``."""

    scale: np.float32
    zero_point: np.uint8

    @classmethod
    def of(cls, chosen: Range) -> QuantizationParameters:
        """Return the codes that cover ``chosen``."""
        return cls(chosen.scale, chosen.zero_point)

    @property
    def covered(self) -> tuple[float, float]:
        """The numbers that the first and the last code stand for; :meth:`of` them is ``self``."""
        zero, scale = int(self.zero_point), float(self.scale)
        return -zero * scale, (255 - zero) * scale

    def rounded(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return ``x`` as its codes stand for it, float32."""
        steps = np.rint(x / self.scale)
        low, high = -float(self.zero_point), 255 - float(self.zero_point)
        return np.asarray(np.clip(steps, low, high) * self.scale, np.float32)
