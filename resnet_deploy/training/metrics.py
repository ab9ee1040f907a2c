"""The figures of a run as they come: JSON lines, and TensorBoard where it is installed."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.errors import ArtifactError
from resnet_deploy.training.folder import BOARD_FOLDER


class Metrics:
    """Writes one JSON object per line, and the same numbers to TensorBoard.

    Every line has ``kind`` (``step`` or ``epoch``) and ``steps``, the updates done by then.

    Args:
        path: of the JSON lines.
        steps: updates done when a run goes on: lines of later ones, which were written before it
            stopped, are dropped. 0 starts a new file.
        epochs: those done by then: the line of a later one may have been written already.

    Raises:
        ArtifactError: the file can't be written.
    """

    def __init__(self, path: Path, *, steps: int = 0, epochs: int = 0) -> None:
        self._path = path
        write_atomically(path, "".join(_lines_until(path, steps, epochs)).encode())
        self._board = _tensorboard(path.parent / BOARD_FOLDER, steps)

    def write(self, kind: str, steps: int, figures: Mapping[str, float]) -> None:
        """Add one line.

        Raises:
            ArtifactError: the file can't be written.
        """
        line = json.dumps({"kind": kind, "steps": steps, **figures})
        try:
            before = self._path.stat().st_size
            try:
                with self._path.open("ab") as stream:
                    stream.write(f"{line}\n".encode())
            except OSError:
                os.truncate(self._path, before)  # of a disk that got full within the line
                raise
        except OSError as error:
            raise ArtifactError(f"cannot write {self._path}: {error.strerror}") from error
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(f"{kind}/{name}", value, steps)

    def close(self) -> None:
        """Write out what TensorBoard still holds."""
        if self._board is not None:
            self._board.close()


def _lines_until(path: Path, steps: int, epochs: int) -> list[str]:
    if not steps or not path.is_file():
        return []
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        # The last line may have been cut off in the middle.
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
            entry = json.loads(line)
            done = entry["kind"] == "step" or entry["number"] <= epochs
            if entry["steps"] <= steps and done and line.endswith("\n"):
                kept.append(line)
    return kept


def _tensorboard(folder: Path, steps: int) -> Any:
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=steps + 1 if steps else None)
