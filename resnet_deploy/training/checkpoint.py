"""Everything that a run needs to go on, in one file that is whole or not there.

``last.pt`` is a plain dict that PyTorch's restricted unpickler reads, too. Its ``model`` (or
``ema``) is a state dict, so that a run that was stopped can be exported like any other checkpoint.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.errors import CheckpointError
from resnet_deploy.parsing import strict_converter, structured
from resnet_deploy.plain_values import strict_json
from resnet_deploy.results.training import Epoch
from resnet_deploy.weights.weights_file import read_weights

FORMAT = 1

State = dict[str, Tensor]

_converter = strict_converter(forbid_extra_keys=True)


@dataclass(kw_only=True)
class Position:
    """Where a run is: ``epoch`` (from 0) and ``step`` in it are the next ones to do.

    ``loss``, ``right`` and ``images`` are the sums of the epoch so far, ``seconds`` and ``waited``
    its times.
    """

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    right: float = 0.0
    images: int = 0
    seconds: float = 0.0
    waited: float = 0.0


@dataclass(kw_only=True)
class Best:
    """The weights with the highest test accuracy so far, and the epoch (from 1) they are of."""

    epoch: int
    top1: float
    state: State


@dataclass(kw_only=True)
class Checkpoint:
    """One moment of a run.

    ``network`` is the state of the module that is trained, ``average`` that of its moving average;
    ``model`` and ``ema`` are the float weights in them. ``settings`` are what must be equal for the
    run to go on; ``crew`` is (threads, processes), on which its last digits depend.
    """

    settings: dict[str, Any]
    card: str
    position: Position
    network: State
    model: State
    optimizer: dict[str, Any]
    average: State | None
    ema: State | None = None
    best: Best | None
    crew: tuple[int, int]
    epochs: list[Epoch] = field(default_factory=list)
    rng: Tensor = field(default_factory=torch.get_rng_state)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write ``checkpoint`` to ``path`` atomically.

    Raises:
        ArtifactError: it can't be written; what was at ``path`` is still there.
    """
    content = {
        "format": FORMAT,
        **vars(checkpoint),
        "position": asdict(checkpoint.position),
        "best": None if checkpoint.best is None else vars(checkpoint.best),
        "epochs": [asdict(epoch) for epoch in checkpoint.epochs],
    }
    if checkpoint.ema is None:
        del content["ema"]  # other readers would look for weights in it
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path) -> Checkpoint:
    """Read what :func:`save_checkpoint` wrote; no code in it is run.

    Raises:
        CheckpointError: the file is missing, damaged, or not a checkpoint of a run.
    """
    try:
        content = read_weights(path)
        found = content.pop("format")
        if found != FORMAT:
            raise CheckpointError(
                f"{path} has format {found!r:.40}, this version reads {FORMAT}: continue with the "
                "resnet-deploy that wrote it"
            )
        return _parsed(content)
    except CheckpointError:
        raise
    except Exception as error:  # entries of other kinds surface as anything from KeyError up
        raise CheckpointError(
            f"{path} is damaged, or not a checkpoint of a training ({type(error).__name__}): "
            "remove it to start anew"
        ) from error


def _parsed(content: Mapping[str, Any]) -> Checkpoint:
    """Return ``content`` typed; whether it is of this run is asked where that is known."""
    best = content["best"]
    parsed = {
        # Plain values alone: what is compared with a tensor is neither equal nor not.
        "settings": structured(
            _converter, strict_json(json.dumps(content["settings"])), dict[str, Any]
        ),
        "card": structured(_converter, content["card"], str),
        "crew": structured(_converter, content["crew"], tuple[int, int]),
        "position": structured(_converter, content["position"], Position),
        "epochs": list(structured(_converter, content["epochs"], tuple[Epoch, ...])),
        "best": None
        if best is None
        else Best(
            epoch=structured(_converter, best["epoch"], int),
            top1=structured(_converter, best["top1"], float),
            state=_state(best["state"]),
        ),
        "optimizer": structured(_converter, content["optimizer"], dict[str, Any]),
    }
    states = ("network", "model", *(name for name in ("average", "ema") if content.get(name)))
    return Checkpoint(**{**content, **parsed, **{name: _state(content[name]) for name in states}})


def _state(given: Any) -> State:
    """Return ``given`` if it is tensors by name.

    Raises:
        TypeError: it isn't.
    """
    state = dict(given)
    if not all(isinstance(n, str) and isinstance(t, Tensor) for n, t in state.items()):
        raise TypeError("a state dict of something else than tensors")
    return state
