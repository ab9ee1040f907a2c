"""Reading of safetensors files. Source: https://github.com/huggingface/safetensors."""

from __future__ import annotations

import struct
from pathlib import Path

from torch import Tensor

from resnet_deploy.dependencies import require
from resnet_deploy.errors import one_line
from resnet_deploy.pickles.bounds import MOST_TENSORS, Damaged
from resnet_deploy.plain_values import strict_json

_LARGEST_HEADER = 100_000_000
"""That of the library."""


def is_safetensors(head: bytes) -> bool:
    """Whether a file begins with eight bytes of length, then a JSON header."""
    return len(head) > 9 and head[5:9] == b"\0\0\0{"


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the metadata of a safetensors file.

    Raises:
        Damaged: it breaks the rules of the format, or was cut short.
        MissingDependencyError: the package is not installed.
    """
    _check_header(path)
    require("safetensors", f"reading {path.name}")
    from safetensors import safe_open
    from safetensors.torch import load_file

    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
        return load_file(path), metadata
    except Exception as error:  # SafetensorError, and what the bindings let through
        raise Damaged(one_line(error)) from error


def _check_header(path: Path) -> None:
    """Refuse a header that says something twice, of which the library takes the last.

    Raises:
        Damaged: it does, is not JSON, or is longer than the file.
    """
    with path.open("rb") as stream:
        (count,) = struct.unpack("<Q", stream.read(8))
        if count > min(path.stat().st_size - 8, _LARGEST_HEADER):
            raise Damaged("cut short")
        header = stream.read(count)
    try:
        listed = strict_json(header.decode())
    except ValueError as error:
        raise Damaged(f"a header that can't be read: {one_line(error, 80)}") from error
    if len(listed) > MOST_TENSORS:  # before the library makes one of each
        raise Damaged(f"a header of {len(listed)} tensors")
