"""Runs the float model over calibration images and keeps one histogram per tensor.

Memory does not grow with the number of images: activations are counted and dropped. Histograms are
kept on disk as well: a killed calibration goes on where it was, a finished one is not repeated. An
entry is named by a hash of everything that its content depends on. The calibration method is not
among them, because ranges are chosen from the histograms afterwards. The cache is a convenience:
what can't be read is made anew, what can't be written is left out.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import math
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import onnx

from resnet_deploy.arrays import Array
from resnet_deploy.artifact.cache import make_cache_for
from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.data.calibration import CalibrationImages
from resnet_deploy.errors import ArtifactError, SpecError
from resnet_deploy.processes.engine import Engine
from resnet_deploy.progress import ImageStage, Progress, silent
from resnet_deploy.quantization.cluster_observers import observed_on_cluster
from resnet_deploy.quantization.histogram import (
    BINS,
    ENOUGH_VALUES,
    ActivationHistograms,
    Histogram,
)
from resnet_deploy.quantization.observers import ThreadObservers, process_observers
from resnet_deploy.runners.cpu import default_threads
from resnet_deploy.runners.ort_runner import serialized_with_outputs
from resnet_deploy.spec import ClusterSpec

logger = logging.getLogger(__name__)

_SUFFIX = ".calibration.npz"

_CLOCK_SECONDS = 60.0
"""What clocks of two machines that share a folder may differ by."""

_FORMAT = f"1 {BINS} {ENOUGH_VALUES}"
"""Part of every key; the number counts changes in how values are counted."""


def observe(
    model: onnx.ModelProto,
    tensors: Sequence[str],
    batches: Iterable[Array],
    *,
    images: int,
    threads: int = 0,
    workers: int = 1,
    cluster: ClusterSpec | None = None,
    cache: CalibrationCache | None = None,
    progress: Progress = silent,
) -> dict[str, Histogram]:
    """Return a histogram of each of ``tensors`` over all ``batches``.

    The same images give the same histograms, whatever their order, ``threads``, ``workers`` and
    ``cluster``.

    ``tensors`` are float tensors of the fp32 ``model``, its input among them if wanted. ``batches``
    are ``images`` images, float32 ``(N, C, H, W)``; a model of fixed batch size gets them in pieces
    of that size. ``workers`` processes (1 is this one) share the images, and the ``threads``, of
    which 0 are the physical cores allowed here. If ``batches`` are :class:`CalibrationImages`,
    which can tell what they hold, the workers of a ``cluster`` read the images where they lie, and
    histograms are kept in ``cache``, and unfinished ones taken up.

    Raises:
        DatasetError: an activation is NaN or infinite.
        RunnerError: ONNX Runtime can't run the model.
        SpecError: ``threads`` is negative.
    """
    if threads < 0:
        raise SpecError(f"threads must be at least 0, not {threads}")
    names = [name for name in tensors if name != model.graph.input[0].name]
    exposed = serialized_with_outputs(model, names)
    key, total = "", ActivationHistograms.of(tensors)
    if cache is not None and isinstance(batches, CalibrationImages):
        key = cache_key(exposed, tensors, batches.content_key())
        total = cache.load(key, tensors, images) or total
        if total.images:
            logger.info("%d of %d images are in the calibration cache", total.images, images)
            progress(ImageStage("calibrating"), total.images, images)
        if total.images == images:
            return total.histograms
        batches = batches.after(total.images)
    else:
        cache = None
    kept = _Kept(cache, key)
    started, resumed = time.monotonic(), total.images
    threads = threads or default_threads()
    if cluster is not None and isinstance(batches, CalibrationImages):
        for part in observed_on_cluster(cluster, exposed, tensors, batches, threads):
            total.merge(part)
            progress(ImageStage("calibrating"), total.images, images)
            kept.save_if_due(total)
    else:
        observers: AbstractContextManager[Engine[Array, ActivationHistograms]] = (
            ThreadObservers(exposed, tensors, threads)
            if workers == 1
            else process_observers(exposed, tensors, threads, workers)
        )
        del exposed
        done = resumed
        with observers as engine:
            for batch in batches:
                engine.submit(batch)
                done += len(batch)
                progress(ImageStage("calibrating"), done, images)
                if kept.due:
                    _collect(engine, total)
                    kept.save_if_due(total)
            _collect(engine, total)
    if cache and (resumed or time.monotonic() - started >= cache.worthwhile_seconds):
        cache.save(key, total)
    return total.histograms


class _Kept:
    """Keeps what was counted so far every now and then, if there is a cache."""

    def __init__(self, cache: CalibrationCache | None, key: str) -> None:
        self._cache = cache
        self._key = key
        self._saved = time.monotonic()

    @property
    def due(self) -> bool:
        cache = self._cache
        return cache is not None and time.monotonic() - self._saved > cache.checkpoint_seconds

    def save_if_due(self, total: ActivationHistograms) -> None:
        if self._cache is not None and self.due:
            self._cache.save(self._key, total)
            self._saved = time.monotonic()


def _collect(engine: Engine[Array, ActivationHistograms], total: ActivationHistograms) -> None:
    for part in engine.collect():
        total.merge(part)


@dataclass(frozen=True, kw_only=True)
class CalibrationCache:
    """A folder of histograms.

    Args:
        folder: where; made when something is kept.
        checkpoint_seconds: how often a running calibration is kept.
        worthwhile_seconds: how long a run must have taken to be kept at its end.
        most_bytes: what all entries may take; the longest unused ones go first.
    """

    folder: Path
    checkpoint_seconds: float = 30.0
    worthwhile_seconds: float = 5.0
    most_bytes: int = 200_000_000

    def load(self, key: str, tensors: Sequence[str], images: int) -> ActivationHistograms | None:
        """Return what is kept under ``key``: histograms of ``tensors`` over up to ``images``.

        None when there is nothing, or nothing that can be used.
        """
        path = self._path(key)
        try:
            found = ActivationHistograms.from_bytes(path.read_bytes())
            os.utime(path)  # as recently used, it is pruned last
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            logger.info("calibration cache: %s is made anew: %s", path, error)
            return None
        if list(found.histograms) != list(tensors) or found.images > images:
            logger.info("calibration cache: %s is made anew: it is of something else", path)
            return None
        return found

    def save(self, key: str, histograms: ActivationHistograms) -> None:
        """Keep ``histograms`` under ``key``; a full disk or a read-only folder is only logged."""
        try:
            make_cache_for(self.folder)
            write_atomically(self._path(key), histograms.to_bytes())
            self._prune(self._path(key))
        except (ArtifactError, OSError) as error:
            logger.warning("calibration goes on without its cache: %s", error)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"

    def _prune(self, newest: Path) -> None:
        """Remove the longest unused entries; what is younger than ``newest`` counts as oldest.

        Its time is of a clock that was set back since: it would stay for years, and all that is
        made from now on would go in its place.
        """
        entries = [(path, path.stat()) for path in self.folder.glob(f"*{_SUFFIX}")]
        now = newest.stat().st_mtime + _CLOCK_SECONDS

        def age(entry: tuple[Path, os.stat_result]) -> float:
            changed = entry[1].st_mtime
            return math.inf if changed > now else -changed

        total = 0
        for path, stat in sorted(entries, key=age):
            total += stat.st_size
            if total > self.most_bytes:
                path.unlink(missing_ok=True)


def cache_key(model: bytes, tensors: Sequence[str], data: str) -> str:
    """Return the SHA-256 of what histograms of ``tensors`` depend on.

    ``model`` is the fp32 graph, serialised; ``data`` a hash of the images as it gets them.
    """
    runtime = importlib.metadata.version("onnxruntime")
    digest = hashlib.sha256(f"{_FORMAT} {runtime} {data} {list(tensors)} ".encode())
    digest.update(model)
    return digest.hexdigest()
