"""What ``resnet-deploy train`` can be asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from resnet_deploy.errors import SpecError
from resnet_deploy.spec.licence import check_licence
from resnet_deploy.spec.model_request import ModelRequest
from resnet_deploy.spec.training import Precision, Recipe


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """Everything ``resnet-deploy train`` can be asked for.

    Args:
        model: the network; its number of classes is the data's.
        data: labelled images, training and test.
        out: the run's folder.
        recipe: how to train.
        weights: where to start: ``random``, or a checkpoint as for ``export``.
        qat: train through the rounding of int8.
        seed: of everything random.
        mean: of the input, on [0, 1]; None is the checkpoint's, or ImageNet's.
        std: its standard deviation.
        limit: take this many images of each part, for a trial.
        follow_links: follow links out of ``data``.
        licence: SPDX expression of what is trained.
        threads: 0 means the physical cores allowed here.
        save_seconds: time between two checkpoints inside an epoch.
        resume: go on with the run in ``out``, where there is one.
        force: replace the run in ``out``.

    Raises:
        SpecError: ``licence`` is not an SPDX expression, mean or std can't be that of images, or
            two options contradict each other.
    """

    model: ModelRequest
    data: Path
    out: Path
    recipe: Recipe = field(default_factory=Recipe)
    weights: str = "random"
    qat: bool = False
    seed: int = 0
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    limit: int | None = None
    follow_links: bool = False
    licence: str = ""
    threads: int = 0
    save_seconds: float = 300.0
    resume: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        check_licence(self.licence)
        if self.mean is not None and not all(map(math.isfinite, self.mean)):
            raise SpecError(f"the mean must be finite numbers, not {_listed(self.mean)}")
        if self.std is not None and not all(0 < value < math.inf for value in self.std):
            raise SpecError(f"the std must be positive numbers, not {_listed(self.std)}")
        if self.resume and self.force:
            raise SpecError("--resume continues a run and --force replaces it: choose one")
        if self.qat and self.weights == "random":
            raise SpecError("--qat fine-tunes a trained network: name it with --weights")
        recipe = self.recipe
        if self.qat and (recipe.freeze or recipe.stage_decay != 1 or recipe.compile):
            raise SpecError(
                "--qat trains all layers as they are: leave freeze, stage_decay and compile out"
            )
        if self.qat and recipe.precision is Precision.BFLOAT16:
            raise SpecError("--qat computes in float32: leave precision = bfloat16 out")
        if recipe.zero_init and self.weights != "random":
            raise SpecError("zero_init is for new networks: leave it or --weights out")


def _listed(values: Iterable[float]) -> str:
    return ",".join(f"{value:g}" for value in values)
