"""What to tune for."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from resnet_deploy.errors import SpecError
from resnet_deploy.spec.budget import Budget


class Objective(str, enum.Enum):
    """What the best file is best in: time of one image, images per second, or bytes."""

    LATENCY = "latency"
    THROUGHPUT = "throughput"
    SIZE = "size"


@dataclass(frozen=True, kw_only=True)
class TuneSpec:
    """How to look for the best file and the best way to run it.

    ``max_drop`` is in points of top-1 and needs labels, ``min_agreement`` a share of images with
    the class of fp32; at least one of them bounds what is lost. ``time_limit`` is in seconds.
    ``keep_input`` leaves the input format as it is. ``samples`` is how many images accuracy is
    measured on at most, ``calibration_samples`` how many set the int8 ranges.

    Raises:
        SpecError: nothing bounds the loss, or a number is out of its range.
    """

    objective: Objective = Objective.LATENCY
    max_drop: float | None = None
    min_agreement: float | None = None
    time_limit: float = 600.0
    keep_input: bool = False
    threads: int = 0
    samples: int = 5000
    calibration_samples: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        _ = self.budget  # checks the bounds
        if self.time_limit <= 0 or self.samples < 1 or self.calibration_samples < 1:
            raise SpecError(
                f"a time limit of {self.time_limit:g} s, {self.samples} images for accuracy and "
                f"{self.calibration_samples} for calibration: all must be positive"
            )

    @property
    def budget(self) -> Budget:
        """What may be lost."""
        return Budget(max_drop=self.max_drop, min_agreement=self.min_agreement)
