"""Pictures that end the process which reads them, as a fault in a decoder's C code would."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from resnet_deploy.data.arrays import ArrayDataset


@dataclass(frozen=True, kw_only=True, eq=False)
class Deadly(ArrayDataset):
    """Reading one of ``deadly`` ends the process; with a folder ``once``, the first time only."""

    deadly: frozenset[int]
    once: Path | None = None

    @classmethod
    def of(cls, images: ArrayDataset, deadly: set[int], once: Path | None = None) -> Deadly:
        return cls(
            name=images.name,
            images=images.images,
            labels=images.labels,
            classes=images.classes,
            deadly=frozenset(deadly),
            once=once,
        )

    def part(self, indices: Sequence[int]) -> Deadly:
        part = super().part(indices)
        return replace(self, images=part.images, labels=None, numbers=part.numbers)

    def image(self, index: int) -> Image.Image:
        number = self.numbers[index] if self.numbers else index
        if number in self.deadly:
            if self.once is None:
                os.kill(os.getpid(), signal.SIGKILL)
            elif not (mark := self.once / str(number)).exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return super().image(index)
