"""Histograms on disk: a killed calibration goes on where it was, a finished one is not repeated.

An entry is named by a hash of everything that its content depends on. The calibration method is
not among them, because ranges are chosen from the histograms afterwards. The cache is a
convenience: what can't be read is made anew, what can't be written is left out.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.errors import ArtifactError
from resnet_deploy.quantization.histogram import BINS, ENOUGH_VALUES, ActivationHistograms

logger = logging.getLogger(__name__)

_SUFFIX = ".calibration.npz"

_FORMAT = f"1 {BINS} {ENOUGH_VALUES}"
"""Part of every key; the number counts changes in how values are counted."""


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
            write_atomically(self._path(key), histograms.to_bytes())
            self._prune()
        except (ArtifactError, OSError) as error:
            logger.warning("calibration goes on without its cache: %s", error)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"

    def _prune(self) -> None:
        # Also the temporary files of runs that were killed while they wrote.
        entries = [(path, path.stat()) for path in self.folder.glob(f"*{_SUFFIX}*")]
        entries.sort(key=lambda entry: entry[1].st_mtime_ns, reverse=True)
        total = 0
        for path, stat in entries:
            total += stat.st_size
            if total > self.most_bytes:
                path.unlink(missing_ok=True)


def cache_key(model: bytes, tensors: Sequence[str], data: str) -> str:
    """Return the SHA-256 of what histograms depend on.

    Args:
        model: the fp32 graph, serialised.
        tensors: what is observed.
        data: a hash of the images as the model gets them.
    """
    runtime = importlib.metadata.version("onnxruntime")
    digest = hashlib.sha256(f"{_FORMAT} {runtime} {data} {list(tensors)} ".encode())
    digest.update(model)
    return digest.hexdigest()
