"""Runs the float model over calibration images and keeps one histogram per tensor.

Memory does not grow with the number of images: activations are counted and dropped.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager

import onnx

from resnet_deploy.arrays import Array
from resnet_deploy.data.calibration import CalibrationImages
from resnet_deploy.processes.engine import Engine
from resnet_deploy.progress import Progress, silent
from resnet_deploy.quantization.calibration_cache import CalibrationCache, cache_key
from resnet_deploy.quantization.histogram import ActivationHistograms, Histogram
from resnet_deploy.quantization.observers import ThreadObservers, process_observers
from resnet_deploy.runners.cpu import default_threads
from resnet_deploy.runners.ort_runner import serialized_with_outputs

logger = logging.getLogger(__name__)


def observe(
    model: onnx.ModelProto,
    tensors: Sequence[str],
    batches: Iterable[Array],
    *,
    images: int,
    threads: int = 0,
    workers: int = 1,
    cache: CalibrationCache | None = None,
    progress: Progress = silent,
) -> dict[str, Histogram]:
    """Return a histogram of each of ``tensors`` over all ``batches``.

    The same images give the same histograms, whatever their order, ``threads`` and ``workers``.

    Args:
        model: fp32 graph with one image input.
        tensors: names of float tensors in the graph, the input among them if wanted.
        batches: float32 ``(N, C, H, W)``; a model of fixed batch size gets them in pieces of
            that size.
        images: how many images the batches hold, for the progress.
        threads: of all workers together; 0 means the physical cores allowed here.
        workers: how many processes share the images; 1 means this one.
        cache: where histograms are kept, and unfinished ones are taken up; used when ``batches``
            are :class:`CalibrationImages`, which can tell what they hold.
        progress: called after every batch.

    Raises:
        DatasetError: an activation is NaN or infinite.
        RunnerError: ONNX Runtime can't run the model.
    """
    names = [name for name in tensors if name != model.graph.input[0].name]
    exposed = serialized_with_outputs(model, names)
    key = ""
    total = ActivationHistograms.of(tensors)
    if cache is not None and isinstance(batches, CalibrationImages):
        key = cache_key(exposed, tensors, batches.content_key())
        total = cache.load(key, tensors, images) or total
        if total.images:
            logger.info("%d of %d images are in the calibration cache", total.images, images)
            progress("calibrating", total.images, images)
        if total.images == images:
            return total.histograms
        batches = batches.after(total.images)
    started = saved = time.monotonic()
    done = resumed = total.images
    threads = threads or default_threads()
    observers: AbstractContextManager[Engine[Array, ActivationHistograms]] = (
        ThreadObservers(exposed, tensors, threads)
        if workers == 1
        else process_observers(exposed, tensors, threads, workers)
    )
    del exposed
    with observers as engine:
        for batch in batches:
            engine.submit(batch)
            done += len(batch)
            progress("calibrating", done, images)
            if cache is not None and key and time.monotonic() - saved > cache.checkpoint_seconds:
                _collect(engine, total)
                cache.save(key, total)
                saved = time.monotonic()
        _collect(engine, total)
    long = cache is not None and time.monotonic() - started >= cache.worthwhile_seconds
    if cache is not None and key and (long or resumed):
        cache.save(key, total)
    return total.histograms


def _collect(engine: Engine[Array, ActivationHistograms], total: ActivationHistograms) -> None:
    for part in engine.collect():
        total.merge(part)
