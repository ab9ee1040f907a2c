"""Weights files: any checkpoint read as plain data, and safetensors written with a card inside.

Reading runs no code from the file, whatever it is called.
Source: https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import argparse
import pickle
import pickletools
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import onnx
import torch
from google.protobuf.message import DecodeError
from torch import Tensor

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.artifact.weights_card import WEIGHTS_CARD_KEY, WeightsCard
from resnet_deploy.dependencies import require
from resnet_deploy.errors import CheckpointError, one_line

MODEL_FILE = "model.safetensors"
"""The weights in the folder of a training run."""

CARD_ENTRY = "card"
"""Key of the card's JSON in a training checkpoint, and in what :func:`read_weights` returns."""

_MAGIC = (
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG", "a PNG image"),
    (b"\x89HDF", "an HDF5 file, as Keras writes: convert it to PyTorch first"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"\xfd7zXZ", "an xz archive: unpack it first"),
)

_UNSAFE_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
_WEIGHTS_FILE = "give a .pt, .pth, .th or .safetensors file"


def read_weights(path: Path) -> Any:
    """Return what the checkpoint at ``path`` holds: a dict, for any file of use.

    A safetensors file with a weights card reads like a training checkpoint: the tensors as
    ``model``, the JSON text as ``card``.

    The kind of file is told from its content, not its name. Pickles are read with PyTorch's
    restricted unpickler (``weights_only=True``), which runs no code of the file's.

    Raises:
        CheckpointError: the file is missing, a folder, empty, cut short, of another kind, or
            a pickle that asks for code.
        MissingDependencyError: it is a safetensors file and that package is not installed.
    """
    head = _head(path)
    if head.startswith(b"PK\x03\x04"):
        _check_torch_archive(path)
        return _torch_load(path)
    # Eight bytes of length, then a JSON header; before pickles, as the length may be 0x80 as well.
    if len(head) > 9 and head[5:9] == b"\0\0\0{":
        return _safetensors_load(path, head)
    if head.startswith(b"\x80"):
        return _torch_load(path)
    raise CheckpointError(f"{path} is {_kind(path, head)}: {_WEIGHTS_FILE}")


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
    try:
        with path.open("rb") as stream:
            head = stream.read(512)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    if not head:
        raise CheckpointError(f"{path} is empty: download or copy it again")
    return head


def _check_torch_archive(path: Path) -> None:
    """Tell PyTorch's zip files from all others, TorchScript and broken ones."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise CheckpointError(
            f"{path} is damaged or was cut short: download or copy it again"
        ) from error
    if any(name.endswith("/constants.pkl") for name in names):
        raise CheckpointError(
            f"{path} is a TorchScript archive, a compiled model: save model.state_dict() of the "
            "original model instead"
        )
    if not any(name.endswith("/data.pkl") for name in names):
        raise CheckpointError(f"{path} is a zip archive, not a PyTorch checkpoint: {_WEIGHTS_FILE}")


def _torch_load(path: Path) -> Any:
    # Training scripts keep their flags beside the weights; a Namespace only holds attributes.
    with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
        # torch warns of pickles it did not write, then refuses them in its own way.
        warnings.simplefilter("ignore")
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise CheckpointError(_refused_pickle(path, str(error))) from error
        except Exception as error:  # damaged archives surface as anything from KeyError up
            raise CheckpointError(
                f"{path} is damaged or was cut short ({type(error).__name__}): download or copy "
                "it again"
            ) from error


def _refused_pickle(path: Path, reason: str) -> str:
    match = _UNSAFE_GLOBAL.search(reason)
    wanted = match[1] if match else _first_global(path)
    if wanted is None:
        return f"{path} is damaged, or not a PyTorch checkpoint: save model.state_dict() again"
    if wanted.startswith(("torch.nn.", "timm.")) or ".models." in wanted:
        return (
            f"{path} holds a whole pickled model ({wanted}), which needs its code to load: "
            "save model.state_dict() instead"
        )
    return (
        f"{path} holds code, not only tensors: {wanted}; it was not run. "
        "Save model.state_dict() alone, with torch.save"
    )


def _first_global(path: Path) -> str | None:
    """Return the first thing that a plain pickle would import, read without running it."""
    strings: list[str] = []
    with path.open("rb") as stream, suppress(ValueError):
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "GLOBAL":
                return str(argument).replace(" ", ".")
            if opcode.name == "STACK_GLOBAL":
                return ".".join(strings[-2:])
            if isinstance(argument, str):
                strings.append(argument)
    return None


def _safetensors_load(path: Path, head: bytes) -> dict[str, Any]:
    (header_bytes,) = struct.unpack("<Q", head[:8])
    if header_bytes + 8 > path.stat().st_size:
        raise CheckpointError(f"{path} was cut short: download or copy it again")
    require("safetensors", f"reading {path.name}")
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    try:
        with safe_open(path, framework="pt") as file:
            card = (file.metadata() or {}).get(WEIGHTS_CARD_KEY)
        tensors = load_file(path)
        return tensors if card is None else {"model": tensors, CARD_ENTRY: card}
    except (SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path} is damaged ({one_line(error)}): download or copy it again"
        ) from error


def _kind(path: Path, head: bytes) -> str:
    """Say what a file that holds no weights is."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[:1] == b"\x08" and _is_onnx(path):
        return "an ONNX model, which needs no export (quantize, verify and bench take it)"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file itself: run git lfs pull"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError:
        return "not a checkpoint"
    return "a text file" if b"\0" not in head else "not a checkpoint"


def _is_onnx(path: Path) -> bool:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except (DecodeError, OSError):
        return path.suffix == ".onnx"
    return bool(model.graph.node)


def _plain(tensor: Tensor) -> Tensor:
    """Return ``tensor`` as a file holds it: in rows, sharing no memory, floats of 32 bits."""
    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to("cpu", dtype).clone(memory_format=torch.contiguous_format)
