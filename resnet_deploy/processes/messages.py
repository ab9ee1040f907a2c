"""What two processes say to each other: a line of JSON, and bytes behind it.

A request is ``{"do": name, …, "bytes": n}``. Its answer is ``{"ok": value, "bytes": n}``, or
``{"error": class, "message": text}`` with one of this package's own errors. ``bytes`` may be left
out where none follow.
"""

from __future__ import annotations

import json
from typing import IO, Any, NamedTuple

import numpy as np

from resnet_deploy.arrays import Array

Data = bytes | memoryview


class Message(NamedTuple):
    """``header`` is what JSON can say."""

    header: dict[str, Any]
    data: Data = b""


class Answer(NamedTuple):
    """``value`` is what JSON can say."""

    value: Any = None
    data: Data = b""


def write_message(stream: IO[bytes], header: dict[str, Any], data: Data = b"") -> None:
    """Send ``header`` and ``data``."""
    stream.write(json.dumps({**header, "bytes": len(data)}).encode() + b"\n")
    stream.write(data)
    stream.flush()


def read_message(stream: IO[bytes]) -> Message | None:
    """Return what :func:`write_message` sent; None when the other side has gone.

    Raises:
        ValueError: something else was written; the message is its beginning.
    """
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None
    try:
        header = json.loads(line)
        size = header.get("bytes", 0)
        data = stream.read(size)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(line.decode(errors="replace").strip()[:80]) from error
    return Message(header, data) if len(data) == size else None


def describe_array(array: Array) -> dict[str, Any]:
    """Return what :func:`array_of` needs to know besides the bytes."""
    return {"shape": array.shape, "dtype": array.dtype.str}


def bytes_of(array: Array) -> Data:
    """Return the bytes of ``array`` in C order; copied only where they are in another one."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def array_of(description: dict[str, Any], data: Data) -> Array:
    """Return the array that :func:`describe_array` and :func:`bytes_of` sent; it is read-only."""
    return np.frombuffer(data, description["dtype"]).reshape(description["shape"])
