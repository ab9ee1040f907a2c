"""Weights files: any checkpoint read as plain data, and safetensors written with a card inside.

Reading runs no code from the file, whatever it is called. :func:`read_weights` is the door; each
container has a module of its own.
Source: https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.artifact.weights_card import WEIGHTS_CARD_KEY, WeightsCard
from resnet_deploy.dependencies import require
from resnet_deploy.errors import CheckpointError, MissingDependencyError, one_line
from resnet_deploy.pickles.bounds import Budget, Damaged, Refused
from resnet_deploy.pickles.stand_ins import Named, StandIn
from resnet_deploy.weights.distributed import METADATA_FILE, read_distributed
from resnet_deploy.weights.foreign import kind_of, kind_of_content
from resnet_deploy.weights.plain import plain
from resnet_deploy.weights.safetensors_file import is_safetensors, read_safetensors
from resnet_deploy.weights.shards import INDEX_SUFFIX, joined, shards_of
from resnet_deploy.weights.torch_files import read_torch

MODEL_FILE = "model.safetensors"
"""The weights in the folder of a training run."""

CARD_ENTRY = "card"
"""Key of the card's JSON in a training checkpoint, and in what :func:`read_weights` returns."""

_PICKLES = (b"\x80", b"(dp", b"(dq", b"(lp", b"}q", b"]q", b"ccopy_reg\n", b"ccollections\n")
"""How pickles begin: with a protocol, or as Python 2 wrote dicts and lists without one."""

_PADDLES = (".pdparams", ".pdopt")
_ONE_PART = re.compile(r".+-\d{5}-of-(?!00001\b)\d{5}\.(?:safetensors|bin)|.+\.distcp")


def read_weights(path: Path) -> Any:
    """Return what the checkpoint at ``path`` holds: a dict, for any file of use.

    Dicts, lists and tuples are Python's, tensors PyTorch's, contiguous or not, on the CPU; objects
    are dicts of their attributes, modules their state dicts; what is left of a class that holds
    nothing is inert. A safetensors file with a weights card reads like a training checkpoint: the
    tensors as ``model``, the JSON text as ``card``. An index of several files (``.index.json``),
    and the ``.metadata`` of a distributed checkpoint, give what the files they list hold.

    The kind of file is told from its content, not its name.

    Raises:
        CheckpointError: the file is missing, a folder, empty, cut short, of another kind, or
            asks for more memory than such a file can need.
        MissingDependencyError: it is a safetensors file and that package is not installed.
    """
    if _ONE_PART.fullmatch(path.name) and path.is_file():
        raise CheckpointError(f"{path} is one of several parts of its net: give the folder instead")
    return _read_file(path)


def _read_file(path: Path) -> Any:
    """Do what :func:`read_weights` does for a file that may be a part."""
    head = _head(path)
    try:
        return _read(path, head)
    except (CheckpointError, MissingDependencyError):
        raise
    except Refused as refusal:
        raise CheckpointError(f"{path} {refusal}") from refusal
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # damage surfaces as anything from IndexError up
        reason = one_line(error) if isinstance(error, Damaged) else type(error).__name__
        raise CheckpointError(
            f"{path} is damaged or was cut short ({reason}): download or copy it again"
        ) from error


def _read(path: Path, head: bytes) -> Any:
    if path.name == METADATA_FILE:
        return read_distributed(path)
    if path.name.endswith(INDEX_SUFFIX):
        shards = shards_of(path)
        return joined({shard: (names, _read_file(shard)) for shard, names in shards.items()})
    if is_safetensors(head):  # before pickles, as the length may begin with 0x80 as well
        tensors, metadata = read_safetensors(path)
        card = metadata.get(WEIGHTS_CARD_KEY)
        return tensors if card is None else {"model": tensors, CARD_ENTRY: card}
    if path.suffix in _PADDLES or not head.startswith((b"PK\x03\x04", *_PICKLES)):
        raise Refused(kind_of(path, head))
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        content = read_torch(data, Budget(len(data)))
    if isinstance(content, StandIn | Named):
        inside = plain(content)
        if inside is content:
            raise Refused(f"holds a {content!r:.100} and no tensors: save model.state_dict()")
        return inside
    if kind := kind_of_content(content):
        raise Refused(kind)
    return plain(content)


def card_of(path: Path, content: Any) -> WeightsCard | None:
    """Return the card in the ``content`` of the weights file ``path``; None where there is none.

    Raises:
        CheckpointError: it is damaged, or of a format this version does not read.
    """
    text = content.get(CARD_ENTRY) if isinstance(content, Mapping) else None
    if not isinstance(text, str):
        return None
    try:
        return WeightsCard.from_json(text)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def write_weights(path: Path, state: Mapping[str, Tensor], card: WeightsCard) -> None:
    """Write ``state`` and its ``card``, whole or not at all; the same input gives the same bytes.

    Args:
        path: the file.
        state: tensors of any device, memory format and float type; floats become float32.
        card: of the network that the tensors are of.

    Raises:
        ArtifactError: the file can't be written.
        MissingDependencyError: safetensors is not installed.
    """
    require("safetensors", f"writing {path.name}")
    from safetensors.torch import save

    # One entry: safetensors does not promise an order of several.
    metadata = {WEIGHTS_CARD_KEY: card.to_json()}
    write_atomically(path, save({key: _plain(state[key]) for key in state}, metadata))


def _head(path: Path) -> bytes:
    if not path.exists():
        raise CheckpointError(f"the weights file {path} does not exist: check the path")
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder: name the weights file in it")
    if not path.is_file():  # to open a pipe is to wait for whoever writes to it
        raise CheckpointError(f"{path} is not a file: name the weights file")
    try:
        with path.open("rb") as stream:
            head = stream.read(512)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    if not head:
        raise CheckpointError(f"{path} is empty: download or copy it again")
    return head


def _plain(tensor: Tensor) -> Tensor:
    """Return ``tensor`` as a file holds it: in rows, sharing no memory, floats of 32 bits."""
    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to("cpu", dtype).clone(memory_format=torch.contiguous_format)
