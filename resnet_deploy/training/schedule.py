"""The learning rate of every step: a pure function, so a run that goes on needs no state for it."""

from __future__ import annotations

import math

from resnet_deploy.spec.training import Recipe, Schedule

_STEP = 0.1
"""By which ``steps`` multiplies the rate at every milestone."""


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Return the rate of update ``step`` (from 0) of the run.

    The warm-up rises in a straight line and reaches the highest rate with its last step. What
    follows depends on the share of the whole run that is done; ``cosine`` and ``one-cycle`` count
    from the end of the warm-up.
    """
    total = recipe.epochs * steps_per_epoch
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return recipe.peak_lr * (step + 1) / warmup
    done = (step - warmup) / max(1, total - warmup)
    match recipe.schedule:
        case Schedule.CONSTANT:
            factor = 1.0
        case Schedule.STEPS:
            factor = _STEP ** sum(step >= share * total for share in recipe.milestones)
        case Schedule.COSINE:
            factor = (1 + math.cos(math.pi * done)) / 2
        case Schedule.ONE_CYCLE:
            factor = 1 - done
    return recipe.peak_lr * factor
