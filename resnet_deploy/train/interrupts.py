"""Ctrl-C and SIGTERM between two steps, never inside one."""

from __future__ import annotations

import signal
import threading
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Remembers a signal until the loop asks; the second one interrupts at once.

    Use it as a context manager. ``seen`` is the first signal that came.
    """

    def __init__(self) -> None:
        self.seen: signal.Signals | None = None

    def __enter__(self) -> Interrupts:
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._previous = [signal.signal(number, self._note) for number in _SIGNALS]
        return self

    def __exit__(self, *exception: object) -> None:
        if self._main:
            for number, previous in zip(_SIGNALS, self._previous, strict=True):
                signal.signal(number, previous)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.seen is not None:
            raise KeyboardInterrupt
        self.seen = signal.Signals(number)
