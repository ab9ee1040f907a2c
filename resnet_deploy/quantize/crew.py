"""Who runs the calibration images: the threads of this process."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.errors import RunnerError, one_line
from resnet_deploy.quantize.activation_histograms import ActivationHistograms
from resnet_deploy.quantize.sampling import sample_rows
from resnet_deploy.runners.ort_runner import open_session
from resnet_deploy.spec import SessionSpec

_PIXELS_PER_RUN = 224 * 224
_MOST_IMAGES_PER_RUN = 32


class Crew(Protocol):
    """Runs the model over batches and gathers histograms; a context manager."""

    def add(self, batch: Array) -> None:
        """Take ``batch`` on; returns once there is room for another one.

        Raises:
            DatasetError: an activation is NaN or infinite, here or on an earlier batch.
            RunnerError: ONNX Runtime can't run the model.
        """

    def collect(self) -> ActivationHistograms:
        """Wait for all batches and return the histograms since the last call.

        Raises:
            DatasetError, RunnerError: as :meth:`add`.
        """

    def __enter__(self) -> Crew: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class ThreadCrew:
    """One session, shared by threads that each run and count images on their own.

    A run uses one thread only: several images at a time keep all cores busy without waiting for
    each other after every layer, and a thread's activations are in its core's cache when they are
    counted. Every run has the same number of images, so that an image's activations depend
    on nothing but the image.

    Args:
        model: fp32 graph that has ``tensors`` among its outputs, or its file.
        tensors: what is observed, the input among them if wanted.
        threads: how many images at a time.

    Raises:
        RunnerError: ONNX Runtime refuses the model.
    """

    def __init__(self, model: bytes | Path, tensors: Sequence[str], threads: int) -> None:
        self._session = open_session(model, SessionSpec(threads=1, spin=False))
        entry = self._session.get_inputs()[0]
        self._input, self._tensors = entry.name, tuple(tensors)
        self._outputs = [name for name in tensors if name != entry.name]
        self._batch_size = entry.shape[0] if isinstance(entry.shape[0], int) else None
        self._threads = threads
        self._reset()
        self._pool = ThreadPoolExecutor(threads)
        self._running: deque[Future[None]] = deque()

    def add(self, batch: Array) -> None:
        """See :meth:`Crew.add`."""
        for piece, count in pieces(batch, self._batch_size):
            while len(self._running) >= 2 * self._threads:
                self._running.popleft().result()
            self._running.append(self._pool.submit(self._count, piece, count))

    def collect(self) -> ActivationHistograms:
        """See :meth:`Crew.collect`."""
        while self._running:
            self._running.popleft().result()
        total = ActivationHistograms.of(self._tensors)
        for part in self._parts:
            total.merge(part)
        self._reset()
        return total

    def _reset(self) -> None:
        # Each thread counts into histograms of its own; they are merged when asked for.
        self._parts = [ActivationHistograms.of(self._tensors) for _ in range(self._threads)]
        self._free: queue.SimpleQueue[ActivationHistograms] = queue.SimpleQueue()
        for part in self._parts:
            self._free.put(part)

    def _count(self, piece: Array, count: int) -> None:
        """Run ``piece`` and count its first ``count`` images."""
        values = [piece, *self._run(piece)]
        part = self._free.get()
        try:
            for name, one in zip((self._input, *self._outputs), values, strict=True):
                if name in part.histograms:
                    # What has no row per image, such as one value for all, is counted whole.
                    real = one[:count] if one.ndim and len(one) == len(piece) else one
                    part.histograms[name].add(real, name, sample_rows(real))
            part.images += count
        finally:
            self._free.put(part)

    def _run(self, piece: Array) -> list[Array]:
        if not self._outputs:
            return []
        try:
            values: list[Array] = self._session.run(self._outputs, {self._input: piece})
        except Exception as error:  # onnxruntime's exceptions share no base class
            reason = one_line(error)
            raise RunnerError(
                f"ONNX Runtime can't run the model on {list(piece.shape)} {piece.dtype}: {reason}"
            ) from error
        return values

    def __enter__(self) -> ThreadCrew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish the runs that have begun, and drop the others."""
        self._pool.shutdown(cancel_futures=True)


def pieces(batch: Array, size: int | None) -> Iterator[tuple[Array, int]]:
    """Yield what one run takes of ``batch``, and how many of its images are to be counted.

    ``size`` is the model's batch size, if it is fixed. A last piece that is too small is filled up
    with its own images again.
    """
    if size is None:
        pixels = batch[0].size // 3
        size = max(1, min(_MOST_IMAGES_PER_RUN, _PIXELS_PER_RUN // pixels))
    for start in range(0, len(batch), size):
        piece = batch[start : start + size]
        count = len(piece)
        yield (piece if count == size else np.resize(piece, (size, *batch.shape[1:]))), count
