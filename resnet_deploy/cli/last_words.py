"""The end of a process that was told to end, and can't.

Python hears signals between two of its own instructions only. A process that waits for another one
inside C++ code is deaf meanwhile, and gloo may wait for minutes when it sends to a process that is
gone. Whoever told it to end loses patience sooner, and kills it before it could say why.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def last_words(words: str, *, seconds: float) -> Iterator[None]:
    """Let the process say ``words`` and exit with 2 where the block outlives a signal too long.

    Args:
        words: one line for stderr.
        seconds: from the first Ctrl-C or SIGTERM on, which must have Python handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    over = threading.Event()
    heard, told = socket.socketpair()
    told.setblocking(False)

    def listen() -> None:
        # The C half of a signal's handler sends its number, whatever Python is doing.
        while number := heard.recv(1):
            if number[0] in _SIGNALS and not over.wait(seconds):
                os.write(2, f"{words}\n".encode())  # a lock of sys.stderr may be taken for ever
                os._exit(2)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    previous = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        over.set()
        told.close()
        listener.join()
        heard.close()
