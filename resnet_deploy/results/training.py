"""What a training learned, epoch by epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from resnet_deploy.results.base import Result
from resnet_deploy.results.environment import Environment
from resnet_deploy.results.preview import Preview


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One pass over the training images.

    Losses are means per image; ``train_top1`` is that of the augmented images as they came,
    ``test_top1`` that of all test images afterwards, both shares. ``steps`` counts from the start
    of the run. ``waited`` of the ``seconds`` the network had no images.
    """

    DERIVED = ("images_per_second",)

    number: int
    steps: int
    lr: float
    train_loss: float
    train_top1: float
    test_loss: float
    test_top1: float
    images: int
    seconds: float
    waited: float

    @property
    def images_per_second(self) -> float:
        """Training speed, without the evaluation."""
        return self.images / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, kw_only=True)
class TrainingResult(Result):
    """A training, finished or interrupted.

    ``data`` is the name of the dataset, with ``train_images`` and ``test_images``. ``files`` are
    what was written, by role: ``run``, ``last`` (the checkpoint), ``metrics``, and at the end
    ``model`` and ``best``. ``interrupted`` is the name of the signal that ended it early.
    ``export`` is the command that deploys what was trained. ``leads`` is False in all processes of
    a training but one. With a ``preview`` nothing was trained.
    """

    DERIVED = ("top1", "seconds")

    model: str
    recipe: dict[str, Any]
    data: str
    classes: tuple[str, ...]
    train_images: int
    test_images: int
    parameters: int
    epochs: tuple[Epoch, ...]
    files: dict[str, str]
    export: str
    interrupted: str | None = None
    notices: tuple[str, ...] = ()
    environment: Environment | None = None
    processes: int = 1
    threads: int = 0
    precision: str = "float32"
    leads: bool = True
    preview: Preview | None = None

    @property
    def top1(self) -> float | None:
        """Share of the test images that the last epoch's weights name right."""
        return self.epochs[-1].test_top1 if self.epochs else None

    @property
    def best(self) -> Epoch | None:
        """The epoch with the highest test accuracy; the first of equals."""
        return max(self.epochs, key=lambda epoch: epoch.test_top1) if self.epochs else None

    @property
    def seconds(self) -> float:
        """Time of all epochs, evaluation not included."""
        return sum(epoch.seconds for epoch in self.epochs)
