"""What only making networks needs, asked for in words where a host was set up without it."""

from __future__ import annotations

import contextlib
import importlib
import signal
import threading
from collections.abc import Iterator

from resnet_deploy.errors import MissingDependencyError

MAKING = {
    "onnxscript": "exporting models",
    "onnxsim": "simplifying exported graphs",
    "safetensors": "reading .safetensors checkpoints",
    "torch": "building and exporting models, training them, and the torch runners",
}
"""Package -> what needs it: the dependencies that ``requirements-runtime.txt`` leaves out."""

INSTALL = f"pip install {' '.join(MAKING)}"
"""The command that turns a host that only runs files into one that makes them."""


def require(package: str, purpose: str) -> None:
    """Import ``package``, one of ``MAKING``; a broken installation counts as none.

    Raises:
        MissingDependencyError: it is not; the message names the install command.
    """
    try:
        with interrupts_deferred():
            importlib.import_module(package)
    except ImportError as error:
        raise MissingDependencyError(f"{purpose} needs the package {package}: {INSTALL}") from error


@contextlib.contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the block ends.

    torch runs Python from C++ while it imports itself: an exception there aborts the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in previous.items():
            # None: it was set by C code, and can't be set back from here.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
    if came:
        signal.raise_signal(came[0])
