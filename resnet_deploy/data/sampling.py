"""Which images of a dataset to take when not all are wanted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.data.datasets import Dataset


def spread_sample(dataset: Dataset, count: int, seed: int) -> tuple[int, ...]:
    """Return ``count`` image indices in random order, spread evenly over the classes.

    Depends on the dataset's own order, ``count`` and ``seed`` only: the raw stream of PCG64 is
    the same in every numpy version, which ``Generator.permutation`` does not promise. A smaller
    dataset gives all its indices.
    """
    order = np.argsort(np.random.PCG64(seed % 2**64).random_raw(len(dataset)), kind="stable")
    if dataset.labelled:
        labels = np.array([dataset.label(int(i)) for i in order])
        order = order[np.argsort(_occurrence(labels), kind="stable")]
    return tuple(int(i) for i in order[:count])


def _occurrence(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how often each label has occurred before it: 0 for the first of its class."""
    by_class = np.argsort(labels, kind="stable")
    ordered = labels[by_class]
    first = np.searchsorted(ordered, ordered, side="left")
    result = np.empty(len(labels), dtype=np.int64)
    result[by_class] = np.arange(len(labels)) - first
    return result
