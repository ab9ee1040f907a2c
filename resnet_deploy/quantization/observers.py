"""Who runs the calibration images and counts activations: the threads of this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.errors import RunnerError, one_line
from resnet_deploy.processes.engine import WorkerPool
from resnet_deploy.quantization.histogram import ActivationHistograms, sample_rows
from resnet_deploy.runners.ort_runner import open_session
from resnet_deploy.spec import SessionSpec

if TYPE_CHECKING:
    import onnxruntime

_PIXELS_PER_RUN = 224 * 224
_MOST_IMAGES_PER_RUN = 32


class _Observer:
    """Implements ``Worker``: runs a share of the images, and keeps statistics of its own."""

    def __init__(self, session: onnxruntime.InferenceSession, tensors: Sequence[str]) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name
        self._tensors = tensors
        self._outputs = [name for name in tensors if name != self._input]
        self._statistics = ActivationHistograms.of(tensors)

    def work(self, task: tuple[Array, int]) -> None:
        """Run the images of ``task``, and count the first of them: as many as it says."""
        piece, count = task
        values = [piece, *self._run(piece)]
        histograms = self._statistics.histograms
        for name, value in zip((self._input, *self._outputs), values, strict=True):
            if name in histograms:
                # What has no row per image, such as one value for all, is counted whole.
                real = value[:count] if value.ndim and len(value) == len(piece) else value
                histograms[name].add(real, name, sample_rows(real))
        self._statistics.images += count

    def take(self) -> ActivationHistograms:
        """Return the statistics since the last call."""
        taken, self._statistics = self._statistics, ActivationHistograms.of(self._tensors)
        return taken

    def kill(self) -> None:
        """A run can't be stopped; those that have begun are short."""

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


class ThreadObservers:
    """Implements ``Engine``: one session, shared by threads that each run and count on their own.

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
        session = open_session(model, SessionSpec(threads=1, spin=False))
        size = session.get_inputs()[0].shape[0]
        self._batch_size = size if isinstance(size, int) else None
        self._pool = WorkerPool([_Observer(session, tensors) for _ in range(threads)])

    def submit(self, task: Array) -> None:
        """Take on a batch of images, as ``Engine.submit`` does.

        Raises:
            DatasetError: an activation is NaN or infinite, here or on an earlier batch.
            RunnerError: ONNX Runtime can't run the model.
        """
        for piece in pieces(task, self._batch_size):
            self._pool.submit(piece)

    def collect(self) -> list[ActivationHistograms]:
        """Return one for all, as ``Engine.collect`` does.

        Raises:
            DatasetError, RunnerError: as :meth:`submit`.
        """
        total, *others = self._pool.collect()
        for part in others:
            total.merge(part)
        return [total]

    def __enter__(self) -> ThreadObservers:
        return self

    def __exit__(self, *exception: object) -> None:
        """Finish the runs that have begun, and drop the others."""
        self._pool.__exit__(*exception)


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
