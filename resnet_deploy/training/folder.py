"""The folder of a run: what may lie in it, what goes when a run starts anew, who writes to it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from resnet_deploy.artifact.files import check_folder, check_within
from resnet_deploy.errors import SpecError
from resnet_deploy.paths import resolved
from resnet_deploy.spec.train_request import TrainRequest
from resnet_deploy.weights.weights_file import MODEL_FILE

RUN_FILE = "run.json"
LAST_FILE = "last.pt"
METRICS_FILE = "metrics.jsonl"
BEST_FILE = "best.safetensors"
BOARD_FOLDER = "tensorboard"

_WEIGHTS = (LAST_FILE, MODEL_FILE, BEST_FILE)
_ALL = (*_WEIGHTS, RUN_FILE, METRICS_FILE)


def check_run_folder(request: TrainRequest) -> None:
    """Refuse a folder that can't be the run's, before the work and not after it.

    Raises:
        ArtifactError: it can't be made, or TensorBoard's files would go where a link in it leads.
        SpecError: it holds a run already, or what the run would replace.
    """
    out = request.out
    check_folder(out)
    check_within(out, [f"{BOARD_FOLDER}/events"])
    held = [name for name in _ALL if (out / name).exists()]
    if held and not (request.resume or request.force):
        raise SpecError(
            f"{out} holds a run already ({held[0]}): --resume continues it, --force starts anew in "
            "its place"
        )
    if request.resume and LAST_FILE not in held and set(held) & set(_WEIGHTS):
        raise SpecError(
            f"{out} holds {held[0]} but no {LAST_FILE} to go on from: --force starts anew in its "
            "place; or choose another folder"
        )
    weights = Path(request.weights)
    if weights.exists() and resolved(out) in (resolved(weights), *resolved(weights).parents):
        raise SpecError(
            f"--weights {weights} lies in -o {out}, where the run would replace it: choose another "
            "folder"
        )


def start_anew(out: Path) -> None:
    """Remove what an earlier run left in ``out``, so that nothing of it passes for the new one's.

    Where no run was, TensorBoard's files are not this tool's.

    Raises:
        OSError: a file can't be removed.
    """
    held = [out / name for name in _ALL if (out / name).exists()]
    if not held:
        return
    for events in (out / BOARD_FOLDER).glob("events.out.tfevents.*"):
        events.unlink()
    for path in held:
        path.unlink()


class Claim:
    """A folder that other trainings keep out of, from :meth:`take` to the end of the ``with``.

    A second training would replace the checkpoints of the first. The system drops the claim with
    the process, however that ends, and nothing stays in the folder. Where folders can't be locked
    (Windows, some network file systems) nothing is claimed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None

    def take(self) -> None:
        """Claim the folder, if it exists by now.

        Raises:
            SpecError: another training has it.
        """
        try:
            import fcntl
        except ImportError:
            return
        if self._descriptor is not None or not self._folder.is_dir():
            return
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise SpecError(
                f"another training is writing to {self._folder}: wait for it, or choose another "
                "folder"
            ) from None
        except OSError:
            os.close(descriptor)
            return
        self._descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
