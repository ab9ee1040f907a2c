"""The child process of a benchmark: one runner, told what to do line by line.

Run as ``python -m resnet_deploy.measure.worker``. Each request is one line of JSON on stdin,
``{"do": "run", …}``; each answer one line on stdout, ``{"ok": value}`` or
``{"error": class, "message": text}``. Arrays travel as ``.npy`` files whose paths are in the
requests. The end of stdin ends the process.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from resnet_deploy.errors import ResnetDeployError
from resnet_deploy.measure.stopwatch import Stopwatch, peak_rss_bytes
from resnet_deploy.runners.base import Runner
from resnet_deploy.runners.registry import open_runner
from resnet_deploy.spec import SessionSpec

Opener = Callable[[str, Path, SessionSpec], Runner]
"""Opens the model at a path with the runner of a name."""

_PR_SET_PDEATHSIG = 1


class Worker:
    """Answers requests; the first must be ``load``, which calls ``opener``."""

    def __init__(self, opener: Opener = open_runner) -> None:
        self._open = opener
        self._runner: Runner | None = None
        self._stopwatch: Stopwatch | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to one request; this tool's own errors are answers too."""
        try:
            return {"ok": self._do(request)}
        except ResnetDeployError as error:
            return {"error": type(error).__name__, "message": str(error)}

    def _do(self, request: dict[str, Any]) -> Any:
        answer: Any = None
        match request["do"]:
            case "load":
                answer = self._load(request)
            case "first_run":
                answer = self._watch.first_run()
            case "warm_up":
                answer = self._watch.warm_up(request["seconds"])
            case "run":
                answer = self._watch.run(request["count"])
            case "saturate":
                answer = self._watch.saturate(request["seconds"])
            case "logits":
                np.save(request["file"], self._watch.logits(), allow_pickle=False)
            case "peak_rss":
                answer = peak_rss_bytes()
            case unknown:
                raise ValueError(f"unknown request {unknown!r}")
        return answer

    def _load(self, request: dict[str, Any]) -> int:
        options = tuple((str(key), str(value)) for key, value in request["options"])
        spec = SessionSpec(threads=request["threads"], options=options)
        self._runner = self._open(request["runner"], Path(request["model"]), spec)
        samples = np.load(request["samples"], allow_pickle=False)
        self._stopwatch = Stopwatch(self._runner, samples, request["batch_size"])
        return self._runner.load_ns

    @property
    def _watch(self) -> Stopwatch:
        if self._stopwatch is None:
            raise ValueError("the first request must be load")
        return self._stopwatch


def serve(requests: TextIO, answers: TextIO, opener: Opener = open_runner) -> None:
    """Answer each line of ``requests`` until they end."""
    worker = Worker(opener)
    for line in requests:
        answers.write(json.dumps(worker.answer(json.loads(line))) + "\n")
        answers.flush()


def main(opener: Opener = open_runner) -> None:
    """Serve stdin and stdout; other runners than this tool's come with an ``opener``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then ends us
    _die_with_parent()
    # A library that prints must not garble the answers: its stdout becomes our stderr.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.stdin, answers, opener)


def _die_with_parent() -> None:
    """Ask Linux to end this process with its parent.

    A killed parent can't wake a worker that it had stopped, and a stopped one never sees the
    end of its stdin.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
