"""How long work tells its caller where it is; the library itself never prints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Called as ``progress(stage, done, total)``; ``total`` is 0 while it is unknown.

    A stage that begins again starts from a smaller ``done``. One of unknown length that is done
    when it is done goes from 0 of 1 to 1 of 1: see :func:`phase`.
    """

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Tell that ``done`` of ``total`` units of ``stage`` are done."""


class ImageStage(str):
    """The name of a stage whose units are images, so that what shows it can tell images/s."""

    __slots__ = ()


def silent(stage: str, done: int, total: int) -> None:
    """The default progress: says nothing."""


@contextmanager
def phase(progress: Progress, stage: str) -> Iterator[None]:
    """Tell that ``stage``, which can't be counted, runs as long as the block does."""
    progress(stage, 0, 1)
    yield
    progress(stage, 1, 1)
