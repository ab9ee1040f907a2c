"""A process that calibrates on its share of the images, for :class:`ProcessCrew`.

Run as ``python -m resnet_deploy.quantize.worker``. Each request is one line of JSON on stdin,
followed by as many bytes as its ``bytes`` says; each answer is ``{"bytes": n}`` and n bytes on
stdout, or ``{"error": class, "message": text}``. The end of stdin ends the process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import IO, Any

import numpy as np

from resnet_deploy.errors import ResnetDeployError
from resnet_deploy.quantize.crew import ThreadCrew


def write_message(stream: IO[bytes], header: dict[str, Any], data: bytes = b"") -> None:
    """Send ``header`` and ``data``."""
    line = json.dumps({**header, "bytes": len(data)})
    stream.write(line.encode() + b"\n")
    stream.write(data)
    stream.flush()


def read_message(stream: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """Return what :func:`write_message` sent; None when the other side has gone.

    Raises:
        ValueError: something else was written.
    """
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None
    header = json.loads(line)
    data = stream.read(header["bytes"])
    return (header, data) if len(data) == header["bytes"] else None


class _Worker:
    """Answers requests; the first must be ``load``."""

    def __init__(self) -> None:
        self._crew: ThreadCrew | None = None

    def answer(self, request: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        """Return the answer to one request; this tool's own errors are answers too."""
        try:
            return {}, self._do(request, data)
        except ResnetDeployError as error:
            return {"error": type(error).__name__, "message": str(error)}, b""

    def _do(self, request: dict[str, Any], data: bytes) -> bytes:
        if request["do"] == "load":
            self._crew = ThreadCrew(Path(request["model"]), request["tensors"], request["threads"])
            return b""
        assert self._crew is not None
        if request["do"] == "add":
            self._crew.add(np.frombuffer(data, request["dtype"]).reshape(request["shape"]))
            return b""
        return self._crew.collect().to_bytes()


def main() -> None:
    """Serve stdin and stdout."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then ends us
    # A library that prints must not garble the answers: its stdout becomes our stderr.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    worker = _Worker()
    while (message := read_message(sys.stdin.buffer)) is not None:
        write_message(answers, *worker.answer(*message))


if __name__ == "__main__":
    main()
