"""The folder of a run: what may lie in it, what goes when a run starts anew."""

from __future__ import annotations

from pathlib import Path

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
    held = _held(out)
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


def check_still_new(request: TrainRequest) -> None:
    """Refuse a folder that another run has come to since :func:`check_run_folder`.

    Raises:
        SpecError: it holds a run by now.
    """
    if (held := _held(request.out)) and not request.force:
        raise SpecError(
            f"{request.out} holds another run by now ({held[0]}): choose another folder"
        )


def _held(out: Path) -> list[str]:
    return [name for name in _ALL if (out / name).exists()]


def start_anew(out: Path) -> None:
    """Remove what an earlier run left in ``out``, so that nothing of it passes for the new one's.

    Where no run was, TensorBoard's files are not this tool's.

    Raises:
        OSError: a file can't be removed.
    """
    held = [out / name for name in _held(out)]
    if not held:
        return
    for events in (out / BOARD_FOLDER).glob("events.out.tfevents.*"):
        events.unlink()
    for path in held:
        path.unlink()
