"""Which file of a folder holds its weights: of a training run, a hub, or a cluster's trainer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from resnet_deploy.artifact.files import sha256_of
from resnet_deploy.errors import CheckpointError
from resnet_deploy.pickles.bounds import Damaged, Refused
from resnet_deploy.weights.distributed import METADATA_FILE, parts_of
from resnet_deploy.weights.foreign import kind_of_folder
from resnet_deploy.weights.shards import INDEX_SUFFIX, shards_of
from resnet_deploy.weights.weights_file import MODEL_FILE

_USUAL = (
    MODEL_FILE,
    MODEL_FILE + INDEX_SUFFIX,
    "pytorch_model.bin",
    "pytorch_model.bin" + INDEX_SUFFIX,
    METADATA_FILE,
)
"""In the order of preference: the files of a hub's folder hold the same."""

_SUFFIXES = frozenset({".safetensors", ".bin", ".pt", ".pth", ".th", ".ckpt"})
_TRAINING = re.compile(r"(?:optimizer|scheduler|scaler|rng_state|training_args|random_states)\b.*")
"""What trainers leave beside the weights."""

_DEEPSPEED = re.compile(r"mp_rank_\d+_model_states\.pt")
_DEEPSPEED_PART = re.compile(r"(?:\w+_)?zero_pp_rank_\d+_mp_rank_\d+_(\w+)_states\.pt")
_DEEPSPEED_LATEST = "latest"

_MOST_NAMED = 4
_MOST_FOLDERS = 200


def weights_in(path: Path) -> Path:
    """Return the weights file in the folder ``path``; a file, and what is missing, is itself.

    ``model.safetensors`` goes before ``pytorch_model.bin``, which holds the same, and a whole file
    before the index of its parts; a distributed checkpoint is its ``.metadata``, DeepSpeed's the
    ``mp_rank_00_model_states.pt`` of the step that ``latest`` names. Else it is the one file with
    a suffix of weights.

    Raises:
        CheckpointError: there is no such file, or there are several.
    """
    if not path.is_dir():
        return path
    for name in _USUAL:
        if (path / name).is_file():
            return path / name
    children = _children(path)
    files = [child for child in children if child.is_file()]
    if deepspeed := _deepspeed(path, files):
        return deepspeed
    indexes = [file for file in files if file.name.endswith(INDEX_SUFFIX)]
    if len(indexes) == 1:
        return indexes[0]
    found = indexes or _weights(files)
    if len(found) == 1:
        return found[0]
    if found:
        raise CheckpointError(
            f"{path} holds {len(found)} weights files ({_named(found)}): name one"
        )
    if kind := kind_of_folder([child.name for child in children]):
        raise CheckpointError(f"{path} {kind}")
    folders = [child for child in children if child.is_dir()][:_MOST_FOLDERS]
    if within := [folder for folder in folders if _holds_weights(folder)]:
        raise CheckpointError(
            f"{path} holds no weights, but {len(within)} "
            f"folder{'s' * (len(within) > 1)} with some ({_named(within)}): name one"
        )
    raise CheckpointError(
        f"{path} is a folder without weights in it ({', '.join(_USUAL)} or one file of "
        f"another name, {', '.join(sorted(_SUFFIXES))}): name the weights file"
    )


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a weights file, as 64 hexadecimal digits.

    Of an index, or a distributed checkpoint, it is that of the digests of it and all its parts.

    Raises:
        CheckpointError: a part is missing.
    """
    parts: Iterable[Path] = ()
    try:
        if path.name == METADATA_FILE:
            parts = parts_of(path)
        elif path.name.endswith(INDEX_SUFFIX):
            parts = sorted(shards_of(path))
    except (Damaged, Refused, OSError, ValueError) as error:
        raise CheckpointError(f"{path} {error}") from error
    digests = [sha256_of(part) for part in (path, *parts)]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise CheckpointError(f"cannot read {folder}: {error.strerror or error}") from error


def _weights(files: list[Path]) -> list[Path]:
    """Return the files with a suffix of weights; a ``.bin`` beside an ``.xml`` is OpenVINO's."""
    return [
        file
        for file in files
        if file.suffix.lower() in _SUFFIXES
        and not _TRAINING.fullmatch(file.name)
        and not (file.suffix == ".bin" and file.with_suffix(".xml").exists())
    ]


def _deepspeed(path: Path, files: list[Path]) -> Path | None:
    """Return the weights of a checkpoint of DeepSpeed's, in its folder or the one above it.

    Raises:
        CheckpointError: the weights are in parts.
    """
    latest = path / _DEEPSPEED_LATEST
    if latest in files and latest.stat().st_size < 1000:
        step = latest.read_text("utf-8", "replace").strip()
        inner = path / Path(step).name
        if Path(step).name not in ("", "..") and inner.is_dir():
            return _deepspeed(inner, [child for child in _children(inner) if child.is_file()])
    whole = [file for file in files if _DEEPSPEED.fullmatch(file.name)]
    parts = [match[1] for file in files if (match := _DEEPSPEED_PART.fullmatch(file.name))]
    if "model" in parts or len(whole) > 1:
        raise CheckpointError(
            f"{path} is a checkpoint of DeepSpeed's in parts: join them with the zero_to_fp32.py "
            "that lies in the folder above (python zero_to_fp32.py . pytorch_model.bin)"
        )
    return whole[0] if whole else None


def _holds_weights(folder: Path) -> bool:
    try:
        inner = list(folder.iterdir())
    except OSError:
        return False
    names = {child.name for child in inner}
    return not names.isdisjoint(_USUAL) or bool(_weights([c for c in inner if c.is_file()]))


def _named(paths: list[Path]) -> str:
    names = ", ".join(path.name for path in paths[:_MOST_NAMED])
    return names + ", …" * (len(paths) > _MOST_NAMED)
