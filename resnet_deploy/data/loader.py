"""Decoding and preparing images in a few threads, a little ahead of their use."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.data.datasets import Dataset
from resnet_deploy.data.preprocess import prepare
from resnet_deploy.spec import Preprocess

Tensors = tuple[NDArray[np.float32], ...]

_BATCHES_AHEAD = 1


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some images, prepared once per :class:`Preprocess`: ``inputs[k]`` is ``(N, 3, H, W)``."""

    indices: tuple[int, ...]
    inputs: Tensors


def prepared_batches(
    dataset: Dataset,
    indices: Sequence[int],
    specs: Sequence[Preprocess],
    *,
    batch_size: int,
) -> Iterator[Batch]:
    """Yield the images ``indices`` of ``dataset`` in batches of ``batch_size``.

    Two batches at most are in memory. Pillow releases the interpreter lock while it decodes and
    resizes, so the next batch is prepared while this one is used.

    Raises:
        DatasetError: an image can't be read.
    """
    chunks = [tuple(indices[i : i + batch_size]) for i in range(0, len(indices), batch_size)]
    pending: deque[tuple[tuple[int, ...], list[Future[Tensors]]]] = deque()
    pool = ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1))
    try:
        for chunk in chunks:
            pending.append((chunk, [pool.submit(_prepare, dataset, i, specs) for i in chunk]))
            if len(pending) > _BATCHES_AHEAD:
                yield _collect(*pending.popleft())
        while pending:
            yield _collect(*pending.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare(dataset: Dataset, index: int, specs: Sequence[Preprocess]) -> Tensors:
    image = dataset.image(index)
    done = {spec: prepare(image, spec) for spec in dict.fromkeys(specs)}
    return tuple(done[spec] for spec in specs)


def _collect(chunk: tuple[int, ...], futures: list[Future[Tensors]]) -> Batch:
    rows = [future.result() for future in futures]
    return Batch(
        indices=chunk, inputs=tuple(np.stack(column) for column in zip(*rows, strict=True))
    )
