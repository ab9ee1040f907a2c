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
    """``value`` is what JSON can say: of a whole message, its header."""

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


def of_array(array: Array) -> Message:
    """Return what :func:`to_array` reads; copied only where it is not in C order."""
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    return Message({"shape": array.shape, "dtype": array.dtype.str}, data)


def to_array(description: dict[str, Any], data: Data) -> Array:
    """Return the array of :func:`of_array`, read-only."""
    return np.frombuffer(data, description["dtype"]).reshape(description["shape"])
