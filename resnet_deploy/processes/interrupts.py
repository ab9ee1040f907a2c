"""Ctrl-C, SIGTERM and SIGHUP: what they interrupt, when, and which of them came."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM) + (
    (signal.SIGHUP,) if sys.platform != "win32" else ()  # the terminal has gone
)


class Interrupts:
    """Makes SIGTERM and SIGHUP clean up as Ctrl-C does, and remembers which of them came first.

    A context manager; ``seen`` is the first signal, None before one came. Python delivers signals
    to the main thread only: elsewhere this does nothing. A signal that is ignored stays so: nohup
    and a shell's ``&`` ask for it.

    Args:
        spared: how many signals are only remembered, for a loop that asks between its steps; the
            next one raises KeyboardInterrupt.
    """

    def __init__(self, spared: int = 0) -> None:
        self.seen: signal.Signals | None = None
        self._spared = spared

    def __enter__(self) -> Interrupts:
        main = threading.current_thread() is threading.main_thread()
        self._previous: list[tuple[signal.Signals, Any]] = []
        try:
            for number in _SIGNALS if main else ():
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous.append((number, signal.getsignal(number)))
                    signal.signal(number, self._note)
        except KeyboardInterrupt:  # by a handler that was not replaced yet
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        for number, previous in self._previous:
            # None: it was set by C code, and can't be set back from here.
            signal.signal(number, signal.SIG_DFL if previous is None else previous)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.seen = self.seen or signal.Signals(number)
        self._spared -= 1
        if self._spared < 0:
            raise KeyboardInterrupt


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP wait until the block ends.

    torch runs Python from C++ while it imports itself: an exception there aborts the process.
    """
    with Interrupts(spared=sys.maxsize) as interrupts:
        yield
    if interrupts.seen is not None:
        signal.raise_signal(interrupts.seen)


@contextmanager
def last_words(words: str, *, seconds: float) -> Iterator[None]:
    """Print ``words`` and exit with 2 where the block runs on too long after a signal.

    Python handles signals between two of its own instructions only, not while C++ code waits, and
    gloo may wait for minutes when it sends to a process that is gone. Whatever sent the signal
    kills this process before that, and it would never say why.

    Args:
        words: one line for stderr.
        seconds: from the first Ctrl-C, SIGTERM or SIGHUP on, which must have Python handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    import socket

    over = threading.Event()
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def listen() -> None:
        # The C half of a signal's handler sends its number, whatever Python is doing.
        while number := reader.recv(1):
            if number[0] in _SIGNALS and not over.wait(seconds):
                os.write(2, f"{words}\n".encode())  # a lock of sys.stderr may be taken forever
                os._exit(2)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    previous = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        over.set()
        writer.close()
        listener.join()
        reader.close()
