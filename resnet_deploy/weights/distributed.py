"""PyTorch's distributed checkpoints: a folder with ``.metadata`` and a ``.distcp`` file a process.

Each tensor is cut into chunks; a chunk is a small PyTorch file at some offset of a ``.distcp``.
Source: https://github.com/pytorch/pytorch/blob/main/torch/distributed/checkpoint/filesystem.py.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resnet_deploy.pickles.bounds import Budget, Damaged, Refused
from resnet_deploy.pickles.numpy_arrays import is_shape
from resnet_deploy.pickles.stand_ins import StandIn
from resnet_deploy.weights.torch_files import read_torch

METADATA_FILE = ".metadata"
_SUFFIX = ".distcp"
_MOST_CHUNKS = 4096
_LONGEST_PATH = 64
_OPTIMIZERS = ("optim", "optimizer", "optimizers", "opt", "optimizer_state_dict")


def parts_of(metadata: Path) -> list[Path]:
    """Return the files that hold the tensors, in order of their names.

    A pipe is none: whoever opens it waits.
    """
    beside = metadata.parent.iterdir()
    return sorted(path for path in beside if path.suffix == _SUFFIX and path.is_file())


def read_distributed(metadata: Path) -> dict[str, Any]:
    """Return the tensors of the checkpoint whose :data:`METADATA_FILE` this is, nested as saved.

    What is not a tensor is left out, and so are the states of optimizers.

    Raises:
        Damaged: a file breaks the rules of the format.
        Refused: a file is missing, or asks for too much.
    """
    files = {path.name: path for path in parts_of(metadata)}
    if not files:
        raise Refused(f"lists tensors in {_SUFFIX} files, of which none is beside it: copy them")
    budget = Budget(sum(path.stat().st_size for path in (*files.values(), metadata)))
    content = _attributes(read_torch(metadata.read_bytes(), budget))
    places = _places(content.get("storage_data"))
    paths = content.get("planner_data")
    described = content.get("state_dict_metadata")
    if not isinstance(described, dict):
        raise Damaged("a list of no tensors")
    result: dict[str, Any] = {}
    for name, description in described.items():
        stated = _attributes(description)
        path = paths.get(name) if isinstance(paths, dict) else None
        if not isinstance(name, str) or "size" not in stated or _is_optimizers(name, path):
            continue
        tensor = _joined(stated, places.get(name, []), files, budget)
        _put(result, path if isinstance(path, tuple) else (name,), tensor)
    return result


def _attributes(value: Any) -> dict[Any, Any]:
    return (value.attributes or {}) if isinstance(value, StandIn) else {}


def _places(storage_data: Any) -> dict[str, list[tuple[Any, dict[Any, Any]]]]:
    """Return the chunks of every tensor: offset in the tensor, and where its file is."""
    if not isinstance(storage_data, dict):
        raise Damaged("a list of no places")
    places: dict[str, list[tuple[Any, dict[Any, Any]]]] = {}
    for index, place in storage_data.items():
        where = _attributes(index)
        if isinstance(name := where.get("fqn"), str):
            places.setdefault(name, []).append((where.get("offset"), _attributes(place)))
    return places


def _is_optimizers(name: str, path: Any) -> bool:
    first = path[0] if isinstance(path, tuple) and path else name.partition(".")[0]
    return first in _OPTIMIZERS


def _joined(
    stated: dict[Any, Any],
    places: list[tuple[Any, dict[Any, Any]]],
    files: dict[str, Path],
    budget: Budget,
) -> Tensor:
    size = stated["size"]
    if not is_shape(size) or not 0 < len(places) <= _MOST_CHUNKS:
        raise Damaged("a tensor of an unusual shape")
    chunks = [
        (offset or (0,) * len(size), _chunk(place, files, budget)) for offset, place in places
    ]
    if any(not is_shape(offset) or len(offset) != len(size) for offset, _ in chunks):
        raise Damaged("a chunk of an unusual offset")
    if len(chunks) == 1 and tuple(chunks[0][1].shape) == size:
        return chunks[0][1]
    if sum(chunk.numel() for _, chunk in chunks) != math.prod(size):
        raise Damaged("chunks that are not the whole of their tensor")
    dtype = chunks[0][1].dtype
    budget.storage(math.prod(size) * (dtype.itemsize + 1))
    tensor, filled = torch.empty(size, dtype=dtype), torch.zeros(size, dtype=torch.bool)
    for offset, chunk in chunks:
        for start, length, whole in zip(offset, chunk.shape, size, strict=True):
            if start + length > whole:
                raise Damaged("a chunk that reaches beyond its tensor")
        region = tuple(slice(o, o + n) for o, n in zip(offset, chunk.shape, strict=True))
        tensor[region] = chunk
        filled[region] = True
    if not filled.all():  # some lie over others
        raise Damaged("chunks that are not the whole of their tensor")
    return tensor


def _chunk(place: dict[Any, Any], files: dict[str, Path], budget: Budget) -> Tensor:
    name, offset, length = (place.get(key) for key in ("relative_path", "offset", "length"))
    if not isinstance(name, str) or type(offset) is not int or type(length) is not int:
        raise Damaged("a chunk in no file")
    if place.get("transform_descriptors"):
        raise Refused("is compressed by an extension: save it again without")
    if name not in files:
        raise Refused(f"lists {name!r:.60}, which is not beside it: copy the whole folder")
    if offset < 0 or not 0 < length <= files[name].stat().st_size - offset:
        raise Damaged(f"{name:.60} is cut short")
    budget.storage(length)  # many may claim the same megabytes
    with files[name].open("rb") as stream:
        stream.seek(offset)
        tensor = read_torch(stream.read(length), budget)
    if not isinstance(tensor, Tensor):
        raise Damaged("a chunk that is not a tensor")
    return tensor


def _put(result: dict[str, Any], path: tuple[Any, ...], tensor: Tensor) -> None:
    """Put ``tensor`` where it was in the nested dict; of a list, the numbers are names."""
    if len(path) > _LONGEST_PATH or not all(isinstance(part, str | int) for part in path):
        raise Damaged("a tensor in an unusual place")
    target = result
    for part in path[:-1]:
        inner = target.setdefault(str(part), {})
        if not isinstance(inner, dict):
            raise Damaged("a tensor inside a tensor")
        target = inner
    target[str(path[-1])] = tensor
