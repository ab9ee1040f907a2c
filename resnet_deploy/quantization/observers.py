"""Runs calibration images and counts activations: in threads of this process, or in several.

A process of :func:`process_observers` is ``python -m resnet_deploy.quantization.observers``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.unfinished import scratch_folder
from resnet_deploy.errors import RunnerError, runtime_reason
from resnet_deploy.processes.engine import Engine, WorkerPool, at_once
from resnet_deploy.processes.messages import Data, Message, of_array, serve, to_array
from resnet_deploy.processes.parent import ChildProcess
from resnet_deploy.quantization.histogram import ActivationHistograms, sample_rows
from resnet_deploy.runners.ort_runner import open_session
from resnet_deploy.spec import SessionSpec

if TYPE_CHECKING:
    import onnxruntime

CHILD = (sys.executable, "-m", "resnet_deploy.quantization.observers")

_PIXELS_PER_RUN = 224 * 224
_MOST_IMAGES_PER_RUN = 32


class Observer:
    """Implements ``Worker``: runs a share of the images, and keeps histograms of its own."""

    def __init__(self, session: onnxruntime.InferenceSession, tensors: Sequence[str]) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name
        self._tensors = tensors
        self._outputs = [name for name in tensors if name != self._input]
        self._learned = ActivationHistograms.of(tensors)

    def work(self, task: tuple[Array, int]) -> None:
        """Run the images of ``task``, and count the first of them: as many as it says."""
        piece, count = task
        values = [piece, *self._run(piece)]
        histograms = self._learned.histograms
        for name, value in zip((self._input, *self._outputs), values, strict=True):
            if name in histograms:
                # What has no row per image, such as one value for all, is counted whole.
                real = value[:count] if value.ndim and len(value) == len(piece) else value
                histograms[name].add(real, name, sample_rows(real))
        self._learned.images += count

    def take(self) -> ActivationHistograms:
        """Return what was counted since the last call."""
        learned, self._learned = self._learned, ActivationHistograms.of(self._tensors)
        return learned

    def kill(self) -> None:
        """A run can't be stopped; those that have begun are short."""

    def _run(self, piece: Array) -> list[Array]:
        if not self._outputs:
            return []
        try:
            values: list[Array] = self._session.run(self._outputs, {self._input: piece})
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise RunnerError(
                f"ONNX Runtime can't run the model on {list(piece.shape)} {piece.dtype}: "
                f"{runtime_reason(error)}"
            ) from error
        return values


class ThreadObservers(AbstractContextManager["ThreadObservers"]):
    """Implements ``Engine``: one session, shared by threads that each run and count on their own.

    A run uses one thread only: several images at a time keep all cores busy without waiting for
    each other after every layer, and a thread's activations are in its core's cache when they are
    counted. Every run has the same number of images, so that an image's activations depend
    on nothing but the image.

    ``model`` is an fp32 graph that has ``tensors`` among its inputs and outputs, or its file.

    Raises:
        RunnerError: ONNX Runtime refuses the model.
    """

    def __init__(self, model: bytes | Path, tensors: Sequence[str], threads: int) -> None:
        session = open_session(model, SessionSpec(threads=1, spin=False))
        size = session.get_inputs()[0].shape[0]
        self._batch_size = size if isinstance(size, int) else None
        self._pool = WorkerPool([Observer(session, tensors) for _ in range(threads)])

    def submit(self, task: Array) -> None:
        """See ``Engine.submit``.

        Raises:
            DatasetError: an activation is NaN or infinite, here or on an earlier batch.
            RunnerError: ONNX Runtime can't run the model.
        """
        for piece in pieces(task, self._batch_size):
            self._pool.submit(piece)

    def collect(self) -> list[ActivationHistograms]:
        """See ``Engine.collect``; one for all threads. Raises what :meth:`submit` does."""
        total, *others = self._pool.collect()
        for part in others:
            total.merge(part)
        return [total]

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


class _ProcessObserver:
    """Implements ``Worker`` by asking a process, which has ``ThreadObservers``."""

    def __init__(self, child: ChildProcess) -> None:
        self._child = child
        self.kill = child.kill

    def work(self, task: Array) -> None:
        self._child.ask("submit", *of_array(task))

    def take(self) -> ActivationHistograms:
        return ActivationHistograms.from_bytes(bytes(self._child.ask("collect").data))


@contextmanager
def process_observers(
    model: bytes,
    tensors: Sequence[str],
    threads: int,
    workers: int,
    command: Sequence[str] = CHILD,
) -> Iterator[Engine[Array, ActivationHistograms]]:
    """Give an engine of ``workers`` processes, each with observers of its own.

    ``model`` is a serialised fp32 graph that has ``tensors`` among its inputs and outputs. The
    processes share the ``threads``; each has at least one. Tests put misbehaving children into
    ``command``.

    Raises:
        RunnerError: ONNX Runtime refuses the model, or a process died.
    """
    with scratch_folder() as folder, ExitStack() as stack:
        (folder / "model.onnx").write_bytes(model)
        advice = "; use fewer --workers if memory is short"
        children = [
            stack.enter_context(
                ChildProcess(command, folder, "a calibration worker", dead_advice=advice)
            )
            for _ in range(workers)
        ]
        request = {
            "model": str(folder / "model.onnx"),
            "tensors": list(tensors),
            "threads": max(1, threads // workers),
        }
        at_once(lambda child: child.ask("load", request), children)
        yield stack.enter_context(WorkerPool([_ProcessObserver(child) for child in children]))


class _Share:
    """What a process answers: calibration on its share of the images."""

    def load(self, fields: dict[str, Any], data: Data) -> Message:
        model = Path(fields["model"])
        self._observers = ThreadObservers(model, fields["tensors"], fields["threads"])
        return Message()

    def submit(self, fields: dict[str, Any], data: Data) -> Message:
        self._observers.submit(to_array(fields, data))
        return Message()

    def collect(self, fields: dict[str, Any], data: Data) -> Message:
        (learned,) = self._observers.collect()
        return Message(data=learned.to_bytes())


if __name__ == "__main__":
    share = _Share()
    serve({"load": share.load, "submit": share.submit, "collect": share.collect})
