"""Which file of a folder holds its weights: a training run's, or one downloaded from a hub."""

from __future__ import annotations

import re
from pathlib import Path

from resnet_deploy.errors import CheckpointError
from resnet_deploy.weights.weights_file import MODEL_FILE

_USUAL = (MODEL_FILE, "pytorch_model.bin")
_SUFFIXES = frozenset({".safetensors", ".bin", ".pt", ".pth", ".th", ".ckpt"})
_TRAINING = re.compile(r"(?:optimizer|scheduler|scaler|rng_state|training_args|random_states)\b.*")
"""What trainers leave beside the weights."""

_MOST_NAMED = 4


def weights_in(path: Path) -> Path:
    """Return the weights file in the folder ``path``; a file, and what is missing, is itself.

    ``model.safetensors`` goes before ``pytorch_model.bin``, which holds the same; else it is the
    one file with a suffix of weights.

    Raises:
        CheckpointError: there is no such file, there are several, or the weights are in parts.
    """
    if not path.is_dir():
        return path
    for name in _USUAL:
        if (path / name).is_file():
            return path / name
    try:
        files = sorted(child for child in path.iterdir() if child.is_file())
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    if any(file.name.endswith(".index.json") for file in files):
        raise CheckpointError(
            f"{path} holds weights in several parts (an index.json lists them): join them into one "
            "file, as save_pretrained(..., max_shard_size='10GB') does"
        )
    found = [
        file
        for file in files
        if file.suffix.lower() in _SUFFIXES and not _TRAINING.fullmatch(file.name)
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise CheckpointError(
            f"{path} is a folder without weights in it ({', '.join(_USUAL)} or one file of "
            f"another name, {', '.join(sorted(_SUFFIXES))}): name the weights file"
        )
    names = ", ".join(file.name for file in found[:_MOST_NAMED])
    raise CheckpointError(
        f"{path} holds {len(found)} weights files ({names}{', …' * (len(found) > _MOST_NAMED)}): "
        "name one"
    )
