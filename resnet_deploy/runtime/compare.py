"""How far one runner's output is from another's."""

from __future__ import annotations

import numpy as np

from resnet_deploy.errors import RunnerError
from resnet_deploy.results import OutputDiff
from resnet_deploy.runtime.base import Array


def difference(name: str, expected: Array, got: Array) -> OutputDiff:
    """Return how far ``got`` is from ``expected``, both ``(N, …)`` float.

    Raises:
        RunnerError: the shapes differ, or there are no values.
    """
    if expected.shape != got.shape or expected.size == 0:
        raise RunnerError(
            f"{name} has shape {list(got.shape)} instead of {list(expected.shape)}: the files "
            "are not of the same network"
        )
    reference, candidate = expected.astype(np.float64), got.astype(np.float64)
    error = candidate - reference
    return OutputDiff(
        name=name,
        samples=len(expected),
        max_abs=float(np.abs(error).max()),
        max_reference=float(np.abs(reference).max()),
        signal_power=float((reference**2).sum()),
        noise_power=float((error**2).sum()),
        dot=float((reference * candidate).sum()),
        candidate_power=float((candidate**2).sum()),
    )


def top1_equal(expected: Array, got: Array) -> tuple[bool, ...]:
    """Return, sample by sample, whether both pick the same class; logits ``(N, classes)``."""
    same = expected.reshape(len(expected), -1).argmax(1) == got.reshape(len(got), -1).argmax(1)
    return tuple(bool(one) for one in same)
