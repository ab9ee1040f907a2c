"""Runs the float model over calibration images and keeps one histogram per tensor.

Memory does not grow with the number of images: one batch of activations is counted and dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from resnet_deploy.artifact import tensor_spec
from resnet_deploy.progress import Progress, silent
from resnet_deploy.quantize.histogram import Histogram
from resnet_deploy.runtime.cpu import default_threads
from resnet_deploy.runtime.ort_runner import add_outputs, open_session
from resnet_deploy.spec import SessionSpec

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
        batches: float32 ``(N, C, H, W)``; a model of fixed batch size gets the last one filled
            up with its own images again, which widens no range.
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
            feed = _filled(batch, spec.shape[0])
            outputs = session.run(names, {spec.name: feed}) if names else []
            observed = dict(zip(names, outputs, strict=True))
            if spec.name in histograms:
                observed[spec.name] = batch
            list(pool.map(lambda item: histograms[item[0]].add(item[1], item[0]), observed.items()))
            done += len(batch)
            progress("calibrating", done, images)
    return histograms


def _filled(batch: Array, size: int | None) -> Array:
    if size is None or len(batch) == size:
        return batch
    return np.resize(batch, (size, *batch.shape[1:]))
