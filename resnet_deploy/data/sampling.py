"""Which images of a dataset to take when not all are wanted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.data.datasets import Dataset, NamedDataset

_CHUNK = 1 << 16
"""Images that are read at the same time."""


def spread_sample(dataset: Dataset, count: int, seed: int) -> tuple[int, ...]:
    """Return ``count`` image indices in random order, spread evenly over the classes.

    Images that have names where they lie are drawn by a hash of these and ``seed``: the same ones
    on every machine, whatever the order in which they are listed. Of each class those of the
    smallest hashes are taken, so images that are added to one class change nothing in another.

    Images of arrays are drawn by their numbers, with the raw stream of PCG64: it is the same in
    every numpy version, which ``Generator.permutation`` does not promise, and an array has an order
    and does not grow elsewhere.

    A smaller dataset gives all its indices. Memory does not grow with the number of images, but
    with that of classes times ``count``.
    """
    keys = np.empty(0, np.uint64)
    labels = np.empty(0, np.int64)
    indices = np.empty(0, np.int64)
    for start, drawn in _drawn(dataset, seed):
        places = range(start, start + len(drawn))
        of = [dataset.label(place) for place in places] if dataset.labelled else [0] * len(drawn)
        keys = np.concatenate([keys, drawn])
        labels = np.concatenate([labels, np.array(of, np.int64)])
        indices = np.concatenate([indices, np.array(places, np.int64)])
        order = np.lexsort((indices, keys))
        kept = order[_occurrence(labels[order]) < count]
        keys, labels, indices = keys[kept], labels[kept], indices[kept]
    first = np.argsort(_occurrence(labels), kind="stable")[:count]
    return tuple(indices[first].tolist())


def in_order(dataset: Dataset, limit: int | None) -> Sequence[int]:
    """Return the images to take where all count, in their order; of more than ``limit`` a sample.

    It is spread evenly over the classes, and the same one every time.
    """
    if limit is None or limit >= len(dataset):
        return range(len(dataset))
    return sorted(spread_sample(dataset, limit, seed=0))


def _drawn(dataset: Dataset, seed: int) -> Iterator[tuple[int, NDArray[np.uint64]]]:
    """Yield a random number for each image, in pieces, with the index of the first of each."""
    if not isinstance(dataset, NamedDataset):
        stream = np.random.PCG64(seed % 2**64)
        for start in range(0, len(dataset), _CHUNK):
            yield start, stream.random_raw(min(_CHUNK, len(dataset) - start))
        return
    key = (seed % 2**64).to_bytes(8, "little")
    drawn: list[bytes] = []
    start = 0
    for name in dataset.names:
        text = name.encode(errors="surrogatepass")
        drawn.append(hashlib.blake2b(text, digest_size=8, key=key).digest())
        if len(drawn) == _CHUNK:
            yield start, np.frombuffer(b"".join(drawn), "<u8")
            start += len(drawn)
            drawn = []
    if drawn:
        yield start, np.frombuffer(b"".join(drawn), "<u8")


def _occurrence(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how often each label has occurred before it: 0 for the first of its class."""
    by_class = np.argsort(labels, kind="stable")
    ordered = labels[by_class]
    first = np.searchsorted(ordered, ordered, side="left")
    result = np.empty(len(labels), dtype=np.int64)
    result[by_class] = np.arange(len(labels)) - first
    return result
