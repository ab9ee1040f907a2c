"""What every runner can do, and how to feed one more images than it takes at once."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Protocol

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.model_file import TensorSpec
from resnet_deploy.errors import RunnerError


class Runner(Protocol):
    """An open model: one image batch in, one or several tensors out.

    ``with contextlib.closing(runner)`` frees it at the end. ``input`` is what it takes, any batch
    size where the first dimension is None, and ``outputs`` what it returns, in the order of the
    file. ``load_ns`` are the nanoseconds from the file to a model that can run, library import not
    counted.
    """

    name: str
    """As on the command line, such as ``ort``."""

    input: TensorSpec
    outputs: tuple[TensorSpec, ...]
    load_ns: int

    def infer(self, batch: Array) -> Array:
        """Return the first output, such as logits ``(N, classes)``; see :meth:`infer_all`."""
        return self.infer_all(batch)[0]

    @abstractmethod
    def infer_all(self, batch: Array) -> tuple[Array, ...]:
        """Return every output for ``batch``, which matches ``input``.

        Raises:
            RunnerError: the runtime can't run this batch, a wrong shape for instance.
        """

    @abstractmethod
    def close(self) -> None:
        """Free the model; :meth:`infer` must not be called again."""


def refused_batch(runtime: str, path: Path, batch: Array, reason: str) -> RunnerError:
    """Return the error to raise when ``runtime`` can't run ``batch``."""
    return RunnerError(
        f"{runtime} can't run {path} on an input of {list(batch.shape)} {batch.dtype}: {reason}"
    )


def as_taken(batch: Array, dtype: str) -> Array:
    """Return a float32 ``batch`` in ``dtype`` where a file takes other floats; else as it is."""
    other = batch.dtype == np.float32 and dtype in ("float16", "float64")
    return batch.astype(dtype) if other else batch


def as_float32(values: Array) -> Array:
    """Return what a file in half precision gives in the type of all others."""
    return values.astype(np.float32) if values.dtype == np.float16 else values


def infer_any(runner: Runner, batch: Array) -> Array:
    """Return the first output, such as logits, for ``batch``; see :func:`infer_every`."""
    return infer_every(runner, batch)[0]


def infer_every(runner: Runner, batch: Array) -> tuple[Array, ...]:
    """Return every output for ``batch``, whatever batch size the model is fixed to.

    A model of fixed batch size runs in pieces; the last one is filled with copies of the last
    image, whose answers are dropped.

    Raises:
        RunnerError: ``batch`` is empty, or the first output has no row for each image.
    """
    if len(batch) == 0:
        raise RunnerError("there are no images to run")
    size = runner.input.shape[0]
    if not size or size == len(batch):
        return _with_rows(runner, batch)
    whole = filled(batch, size)
    pieces = [
        _with_rows(runner, whole[start : start + size]) for start in range(0, len(whole), size)
    ]
    return tuple(np.concatenate(parts)[: len(batch)] for parts in zip(*pieces, strict=True))


def _with_rows(runner: Runner, batch: Array) -> tuple[Array, ...]:
    """Return every output for ``batch``; the first one has a row for each image.

    Raises:
        RunnerError: it has not: a file may squeeze its batch of one away, or turn its answer round.
    """
    outputs = runner.infer_all(batch)
    first = outputs[0]
    if first.shape[:1] != batch.shape[:1]:
        raise RunnerError(
            f"{runner.outputs[0].name} has shape {list(first.shape)} for a batch of {len(batch)}: "
            "export the model with an output whose first axis is the images"
        )
    return outputs


def filled(images: Array, batch_size: int) -> Array:
    """Return ``images`` with the last one repeated until they are whole batches."""
    missing = -len(images) % batch_size
    if not missing:
        return images
    return np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
