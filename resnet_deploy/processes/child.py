"""The child's side: answers its parent's requests until there are no more."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

from resnet_deploy.errors import ResnetDeployError
from resnet_deploy.processes.messages import Data, Message, read_message, write_message

Handler = Callable[[dict[str, Any], Data], Message]
"""Takes the fields of a request and its bytes, and returns the value and bytes of the answer."""

_PR_SET_PDEATHSIG = 1


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
