"""Whether a checkpoint can be of the run that goes on from it.

``settings`` say what was asked for, and are compared before; this is about what the run had become
by then. A folder of a run may come from anywhere, and figures and weights in it would be believed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from resnet_deploy.training.checkpoint import Checkpoint
from resnet_deploy.training.loop import Training, float_state

_BUFFER = "momentum_buffer"


def check_fits(training: Training, checkpoint: Checkpoint) -> None:
    """Refuse a moment that ``training`` can't have come to; its tensors are checked when taken.

    Raises:
        ValueError: what is wrong.
    """
    parts = (_of_position, _of_epochs, _of_states, _of_optimizer)
    for problem in (found for part in parts for found in part(training, checkpoint)):
        raise ValueError(problem)


def _of_position(training: Training, checkpoint: Checkpoint) -> Iterator[str]:
    at, epochs, steps = checkpoint.position, training.recipe.epochs, training.steps_per_epoch
    inside = 0 <= at.step <= steps if 0 <= at.epoch < epochs else at.step == 0
    if not (inside and 0 <= at.epoch <= epochs):
        yield f"epoch {at.epoch + 1}, step {at.step} of {epochs} epochs of {steps} steps"
    counted = 0 <= at.right <= at.images and (at.images > 0) == (at.step > 0)
    if not (counted and at.loss >= 0 and 0 <= at.waited <= at.seconds):
        yield f"the sums of {at.images} images after {at.step} steps"
    if min(checkpoint.crew) < 1:
        yield "no process or no thread"


def _of_epochs(training: Training, checkpoint: Checkpoint) -> Iterator[str]:
    epochs, best, steps = checkpoint.epochs, checkpoint.best, training.steps_per_epoch
    if len(epochs) != checkpoint.position.epoch:
        yield f"{len(epochs)} epochs in epoch {checkpoint.position.epoch + 1}"
    for number, epoch in enumerate(epochs, 1):
        counts = (epoch.number, epoch.steps) == (number, number * steps) and epoch.images > 0
        shares = all(0 <= share <= 1 for share in (epoch.train_top1, epoch.test_top1))
        positive = min(epoch.lr, epoch.train_loss, epoch.test_loss, epoch.waited) >= 0
        if not (counts and shares and positive and epoch.waited <= epoch.seconds):
            yield f"figures of epoch {number} that no training has"
    if (best is None) != (not epochs):
        yield f"{len(epochs)} epochs and {'no' if best is None else 'a'} best one"
    elif best is not None:
        found = [epoch.test_top1 for epoch in epochs if epoch.number == best.epoch]
        if found != [best.top1]:
            yield f"a best epoch, {best.epoch}, that has another accuracy"


def _of_states(training: Training, checkpoint: Checkpoint) -> Iterator[str]:
    if (checkpoint.average is None) != (training.average is None):
        yield "a moving average, or none, where it is the other way round"
    own = _shapes(float_state(training.evaluated))
    if checkpoint.best is not None and _shapes(checkpoint.best.state) != own:
        yield "weights of the best epoch that are of another network"


def _of_optimizer(training: Training, checkpoint: Checkpoint) -> Iterator[str]:
    """Of its entries only the momentum is taken; settings have the rest."""
    groups = training.optimizer.param_groups
    parameters = [parameter for group in groups for parameter in group["params"]]
    state = checkpoint.optimizer["state"]
    if not isinstance(state, Mapping):
        yield "an optimizer without a state"
        return
    for number, entry in state.items():
        known = type(number) is int and 0 <= number < len(parameters)
        if not (known and _is_momentum(entry, parameters[number])):
            yield f"a momentum of another network for parameter {number!r:.20}"


def _is_momentum(entry: Any, parameter: Tensor) -> bool:
    if not isinstance(entry, Mapping) or set(entry) != {_BUFFER}:
        return False
    buffer = entry[_BUFFER]
    if buffer is None:
        return True
    return (
        isinstance(buffer, Tensor)
        and buffer.shape == parameter.shape
        and buffer.dtype == parameter.dtype
        and bool(torch.isfinite(buffer).all())
    )


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in state.items()}
