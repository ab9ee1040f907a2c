"""Decoding and preparing images in a few threads: a little ahead of their use, or with it.

:func:`prepared_batches` is for who uses one batch after the other. :func:`map_batches` is for who
does the same with each: a thread decodes, prepares and runs a small batch on one core, while others
do so with other batches. No core waits for the slowest part of a layer, or for a picture.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.data.asking import UnreachableError
from resnet_deploy.data.bands import prepare_bands
from resnet_deploy.data.datasets import Dataset, NamedDataset
from resnet_deploy.data.preprocess import prepare
from resnet_deploy.errors import DatasetError
from resnet_deploy.processes.in_order import in_order
from resnet_deploy.results.throughput import Spent
from resnet_deploy.spec import ChannelOrder, InputContract

R = TypeVar("R")

Tensors = tuple[NDArray[Any], ...]

LeaveOut = Callable[[int, DatasetError], None]
"""Called with the index of an image that can't be read, and why.

A server that can't be reached is no fault of an image, and ends the work.
"""

_BATCHES_AHEAD = 1


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some images, prepared once per :class:`InputContract`: ``inputs[k]`` is a batch of N inputs.

    Equal preparations share one array.
    """

    indices: tuple[int, ...]
    inputs: Tensors


def prepared_batches(
    dataset: Dataset,
    indices: Sequence[int],
    specs: Sequence[InputContract],
    *,
    batch_size: int,
    leave_out: LeaveOut | None = None,
) -> Iterator[Batch]:
    """Yield the images ``indices`` of ``dataset``, in this order, in batches of ``batch_size``.

    However many images there are, two batches are in memory: the one in use and the next one,
    and copies of these while they are put together. Pillow releases the interpreter lock while
    it decodes and resizes, so the next batch is prepared while this one is used.

    Args:
        dataset: where the images come from.
        indices: which images to take.
        specs: how to prepare each image; a batch has one input for each.
        batch_size: images per batch; the last one may be smaller.
        leave_out: told of images that can't be read, in order. They are missing from their
            batch, and a batch without any image is not yielded. None makes them errors.

    Raises:
        DatasetError: an image can't be read, and ``leave_out`` is None.
    """
    distinct = tuple(dict.fromkeys(specs))
    chunks = in_batches(indices, batch_size_for(specs, batch_size))
    pending: deque[tuple[tuple[int, ...], list[Future[Tensors]]]] = deque()
    pool = ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1))

    def oldest() -> Iterator[Batch]:
        kept, stacked = _collect(*pending.popleft(), leave_out)
        if kept:
            by_spec = dict(zip(distinct, stacked, strict=True))
            yield Batch(indices=kept, inputs=tuple(by_spec[spec] for spec in specs))

    try:
        for chunk in chunks:
            pending.append((chunk, [pool.submit(_prepare, dataset, i, distinct) for i in chunk]))
            if len(pending) > _BATCHES_AHEAD:
                yield from oldest()
        while pending:
            yield from oldest()
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, kw_only=True)
class Mapped(Generic[R]):
    """What became of the images ``indices``, and what that took."""

    indices: tuple[int, ...]
    value: R
    spent: Spent


def map_batches(
    dataset: Dataset,
    indices: Sequence[int],
    specs: Sequence[InputContract],
    work: Callable[[Batch], R],
    *,
    batch_size: int,
    workers: int,
    leave_out: LeaveOut | None = None,
) -> Iterator[Mapped[R]]:
    """Yield ``work`` of every batch of ``indices``, in their order.

    The images of a batch are decoded, prepared and worked on by one of ``workers`` threads. That
    many batches are in memory, however many there are. Arguments and batches are otherwise those of
    :func:`prepared_batches`.

    Args:
        dataset: where the images come from.
        indices: which images to take.
        specs: how to prepare each image; a batch has one input for each.
        work: is called in several threads at once, and should keep one core busy.
        batch_size: images per batch; the last one may be smaller.
        workers: how many threads.
        leave_out: told of images that can't be read, in order, in the thread that asks.

    Raises:
        DatasetError: an image can't be read, and ``leave_out`` is None.
        Exception: what ``work`` raises, when the batches in front of it were yielded.
    """
    one = MapBatch(dataset, specs, work, tolerant=leave_out is not None)
    # Those that wait are numbers only: their images are not decoded yet.
    chunks = in_batches(indices, batch_size_for(specs, batch_size))
    yield from read_ones(in_order(one, chunks, workers=workers, waiting=workers), leave_out)


Left = list[tuple[int, DatasetError]]
"""Images of a batch that can't be read, and why."""


def read_ones(
    mapped: Iterable[tuple[Mapped[R] | None, Left]], leave_out: LeaveOut | None
) -> Iterator[Mapped[R]]:
    """Yield what became of batches, and tell ``leave_out`` what is missing in them."""
    for found, bad in mapped:
        for index, error in bad:
            assert leave_out is not None, "an error is raised otherwise"
            leave_out(index, error)
        if found is not None:
            yield found


def batch_size_for(specs: Sequence[InputContract], wanted: int) -> int:
    """Return how many images are in a batch: images of different sizes don't stack."""
    return 1 if any(spec.resize_in_graph for spec in specs) else wanted


def in_batches(indices: Sequence[int], batch_size: int) -> Iterator[tuple[int, ...]]:
    """Yield ``indices`` in order, ``batch_size`` at a time; the last ones may be fewer."""
    return (tuple(indices[i : i + batch_size]) for i in range(0, len(indices), batch_size))


class MapBatch(Generic[R]):
    """Decodes, prepares and works on the images of one batch, in the thread that asks.

    Arguments are those of :func:`map_batches`; it may be called in several threads at once. If
    ``tolerant``, images that can't be read are left out, else they are errors.
    """

    def __init__(
        self,
        dataset: Dataset,
        specs: Sequence[InputContract],
        work: Callable[[Batch], R],
        *,
        tolerant: bool,
    ) -> None:
        self._dataset = dataset
        self._distinct = tuple(dict.fromkeys(specs))
        self._places = [self._distinct.index(spec) for spec in specs]
        self._work = work
        self._tolerant = tolerant

    def __call__(self, chunk: Sequence[int]) -> tuple[Mapped[R] | None, Left]:
        """Return what became of the images ``chunk``, and which of them can't be read.

        Raises:
            DatasetError: one can't be read, and that is an error.
            Exception: what the work on them raises.
        """
        spent = Spent()
        kept: list[int] = []
        rows: list[Tensors] = []
        bad: Left = []
        for index in chunk:
            try:
                tensors, cost = _timed(self._dataset, index, self._distinct)
            except DatasetError as error:
                if not self._tolerant or isinstance(error, UnreachableError):
                    raise
                bad.append((index, error))
            else:
                spent += cost
                kept.append(index)
                rows.append(tensors)
        if not kept:
            return None, bad
        begin = time.thread_time()
        stacked = [np.stack(column) for column in zip(*rows, strict=True)]
        del rows
        batch = Batch(indices=tuple(kept), inputs=tuple(stacked[place] for place in self._places))
        prepared = time.thread_time()
        value = self._work(batch)
        spent += Spent(resizing=prepared - begin, inference=time.thread_time() - prepared)
        return Mapped(indices=batch.indices, value=value, spent=spent), bad


@runtime_checkable
class _Part(Protocol):
    """A part of a dataset, whose images are still known by their numbers in the whole."""

    @property
    def numbers(self) -> tuple[int, ...]: ...


def image_name(dataset: Dataset, index: int) -> str:
    """Return what to call one image: its path inside the folder, or its place in the array."""
    if isinstance(dataset, NamedDataset):
        return dataset.names[index]
    if isinstance(dataset, _Part) and dataset.numbers:
        index = dataset.numbers[index]
    return f"{dataset.name}[{index}]"


def prepared(dataset: Dataset, indices: Sequence[int], spec: InputContract) -> NDArray[Any]:
    """Return the images ``indices`` as one batch, prepared in this thread.

    Raises:
        DatasetError: an image can't be read.
    """
    return np.stack([_prepare(dataset, index, (spec,))[0] for index in indices])


def _prepare(dataset: Dataset, index: int, specs: Sequence[InputContract]) -> Tensors:
    return _timed(dataset, index, specs)[0]


def _timed(dataset: Dataset, index: int, specs: Sequence[InputContract]) -> tuple[Tensors, Spent]:
    """Return one image as each of ``specs`` has it, and what this thread spent on it."""
    begin = time.thread_time()
    if any(spec.channel_order is ChannelOrder.BANDS for spec in specs):
        tensors = tuple(prepare_bands(dataset, index, spec) for spec in specs)
        return tensors, Spent(images=1, decoding=time.thread_time() - begin)
    image = dataset.image(index)
    decoded = time.thread_time()
    try:
        tensors = tuple(prepare(image, spec) for spec in specs)
    except DatasetError as error:
        raise DatasetError(f"{image_name(dataset, index)}: {error}") from error
    resizing = time.thread_time() - decoded
    return tensors, Spent(images=1, decoding=decoded - begin, resizing=resizing)


def _collect(
    chunk: tuple[int, ...], futures: list[Future[Tensors]], leave_out: LeaveOut | None
) -> tuple[tuple[int, ...], Tensors]:
    """Wait for one batch; return the images that could be read, and their tensors stacked."""
    kept, rows = [], []
    for index, future in zip(chunk, futures, strict=True):
        try:
            rows.append(future.result())
        except DatasetError as error:
            if leave_out is None or isinstance(error, UnreachableError):
                raise
            leave_out(index, error)
        else:
            kept.append(index)
    return tuple(kept), tuple(np.stack(column) for column in zip(*rows, strict=True))
