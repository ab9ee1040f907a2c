"""What a process and its child say to each other: a line of JSON, and bytes behind it.

A request is ``{"do": name, …, "bytes": n}``. Its answer is ``{"ok": value, "bytes": n}``, or
``{"error": class, "message": text}`` with one of this package's own errors. ``bytes`` may be left
out where none follow.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import IO, Any, NamedTuple

import numpy as np

from resnet_deploy.arrays import Array
from resnet_deploy.errors import ResnetDeployError

Data = bytes | memoryview

_PR_SET_PDEATHSIG = 1


class Message(NamedTuple):
    """``value`` is what JSON can say: of a whole message, its header."""

    value: Any = None
    data: Data = b""


Handler = Callable[[dict[str, Any], Data], Message]
"""Takes the fields of a request and its bytes, and returns the value and bytes of the answer."""


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


def serve(handlers: Mapping[str, Handler]) -> None:
    """Answer each request on stdin by the handler of its name, until stdin ends.

    This package's own errors are answers too; any other ends the process, which its parent sees.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then ends us
    _die_with_parent()
    # A library that prints must not garble the answers: its stdout becomes our stderr.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while (request := read_message(sys.stdin.buffer)) is not None:
        try:
            value, data = handlers[request.value["do"]](*request)
        except ResnetDeployError as error:
            write_message(answers, {"error": type(error).__name__, "message": str(error)})
        else:
            write_message(answers, {"ok": value}, data)


def _die_with_parent() -> None:
    """Ask Linux to end this process with its parent: with the thread that started it.

    A killed parent can't wake a child that it had stopped, and a stopped one never sees the end
    of its stdin.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
