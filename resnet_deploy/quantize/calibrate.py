"""Runs the float model over calibration images and keeps one histogram per tensor.

Memory does not grow with the number of images: one batch of activations is counted and dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray

from resnet_deploy.artifact import tensor_spec
from resnet_deploy.errors import RunnerError
from resnet_deploy.progress import Progress, silent
from resnet_deploy.quantize.histogram import Histogram
from resnet_deploy.runtime.cpu import default_threads
from resnet_deploy.runtime.ort_runner import add_outputs, open_session
from resnet_deploy.spec import SessionSpec

if TYPE_CHECKING:
    import onnxruntime

Array = NDArray[Any]


def observe(
    model: onnx.ModelProto,
    tensors: Sequence[str],
    batches: Iterable[Array],
    *,
    images: int,
    threads: int = 0,
    progress: Progress = silent,
) -> dict[str, Histogram]:
    """Return a histogram of each of ``tensors`` over all ``batches``.

    Args:
        model: fp32 graph with one image input.
        tensors: names of float tensors in the graph, the input among them if wanted.
        batches: float32 ``(N, C, H, W)``; a model of fixed batch size gets them in pieces of
            that size.
        images: how many images the batches hold, for the progress.
        threads: of the runner; 0 means the physical cores allowed here.
        progress: called after every batch.

    Raises:
        DatasetError: an activation is NaN or infinite.
        RunnerError: ONNX Runtime can't run the model.
    """
    spec = tensor_spec(model.graph.input[0])
    names = [name for name in tensors if name != spec.name]
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    add_outputs(exposed, names, "the model")
    # Spinning threads would take the cores from the histograms.
    session = open_session(exposed.SerializeToString(), SessionSpec(threads=threads, spin=False))
    histograms = {name: Histogram() for name in tensors}
    done = 0
    with ThreadPoolExecutor(threads or default_threads()) as pool:
        for batch in batches:
            for piece in _pieces(batch, spec.shape[0]):
                observed = {spec.name: piece} if spec.name in histograms else {}
                observed.update(zip(names, _run(session, names, {spec.name: piece}), strict=True))
                list(
                    pool.map(
                        lambda item: histograms[item[0]].add(item[1], item[0]), observed.items()
                    )
                )
                # Before the next run makes its own: two sets of activations never live together.
                observed.clear()
            done += len(batch)
            progress("calibrating", done, images)
    return histograms


def _run(
    session: onnxruntime.InferenceSession, names: list[str], feed: dict[str, Array]
) -> list[Array]:
    """Return the tensors ``names``; nothing to run gives nothing.

    Raises:
        RunnerError: ONNX Runtime can't run the model on this input.
    """
    if not names:
        return []
    try:
        values: list[Array] = session.run(names, feed)
    except Exception as error:  # onnxruntime's exceptions share no base class
        shapes = ", ".join(f"{list(batch.shape)} {batch.dtype}" for batch in feed.values())
        reason = " ".join(str(error).split())[:300]
        raise RunnerError(f"ONNX Runtime can't run the model on {shapes}: {reason}") from error
    return values


def _pieces(batch: Array, size: int | None) -> Iterator[Array]:
    """Yield ``batch`` whole, or in pieces of the model's fixed ``size``, the last one filled up.

    It is filled with its own images again: that widens no range.
    """
    if size is None:
        yield batch
        return
    for start in range(0, len(batch), size):
        piece = batch[start : start + size]
        yield piece if len(piece) == size else np.resize(piece, (size, *batch.shape[1:]))
