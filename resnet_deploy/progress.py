"""How long work tells its caller where it is; the library itself never prints."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called as ``progress(stage, done, total)``; ``total`` is 0 while it is unknown."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Tell that ``done`` of ``total`` units of ``stage`` are done."""


def silent(stage: str, done: int, total: int) -> None:
    """The default progress: says nothing."""
