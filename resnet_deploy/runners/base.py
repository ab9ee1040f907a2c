"""What every runner can do, and how to feed one more images than it takes at once."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.onnx_file import TensorSpec
from resnet_deploy.errors import RunnerError


class Runner(Protocol):
    """An open model: one image batch in, one or several tensors out.

    ``with contextlib.closing(runner)`` frees it at the end.
    """

    @property
    def name(self) -> str:
        """The runner's name on the command line, such as ``ort``."""

    @property
    def input(self) -> TensorSpec:
        """What :meth:`infer` takes; a first dimension of None takes any batch size."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What :meth:`infer_all` returns, in the order of the file."""

    @property
    def load_ns(self) -> int:
        """Nanoseconds from the file to a model that can run, library import not counted."""

    def infer(self, batch: Array) -> Array:
        """Return the first output, such as logits ``(N, classes)``, of ``batch``.

        ``batch`` matches :attr:`input`.
        """

    def infer_all(self, batch: Array) -> tuple[Array, ...]:
        """Return every output for ``batch``, in the order of :attr:`outputs`."""

    def close(self) -> None:
        """Free the model; :meth:`infer` must not be called again."""


def infer_any(runner: Runner, batch: Array) -> Array:
    """Return the first output, such as logits, for ``batch``; see :func:`infer_every`."""
    return infer_every(runner, batch)[0]


def infer_every(runner: Runner, batch: Array) -> tuple[Array, ...]:
    """Return every output for ``batch``, whatever batch size the model is fixed to.

    A model of fixed batch size runs in pieces; the last one is filled with copies of the last
    image, whose answers are dropped.

    Raises:
        RunnerError: ``batch`` is empty.
    """
    if len(batch) == 0:
        raise RunnerError("there are no images to run")
    size = runner.input.shape[0]
    if size is None or size == len(batch):
        return runner.infer_all(batch)
    pieces = []
    for start in range(0, len(batch), size):
        piece = batch[start : start + size]
        missing = size - len(piece)
        filled = np.concatenate([piece, np.repeat(piece[-1:], missing, axis=0)])
        pieces.append([one[: len(piece)] for one in runner.infer_all(filled)])
    return tuple(np.concatenate(parts) for parts in zip(*pieces, strict=True))
