"""What int8 may cost."""

from __future__ import annotations

from dataclasses import dataclass

from resnet_deploy.errors import SpecError


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What int8 may cost: points of top-1, images with another answer than fp32's, or both.

    ``max_drop`` is in points, ``min_agreement`` a share of images; None is not asked for.

    Raises:
        SpecError: nothing is asked for, or something that no file can do.
    """

    max_drop: float | None = None
    min_agreement: float | None = None

    def __post_init__(self) -> None:
        if self.max_drop is None and self.min_agreement is None:
            raise SpecError("an accuracy budget needs --max-drop or --min-agreement")
        if self.max_drop is not None and not 0 <= self.max_drop <= 100:
            raise SpecError(f"--max-drop {self.max_drop:g} must be 0 to 100 points of top-1")
        if self.min_agreement is not None and not 0 <= self.min_agreement <= 1:
            raise SpecError(f"--min-agreement {self.min_agreement:g} must be a share from 0 to 1")
