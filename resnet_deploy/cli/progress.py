"""A progress bar on stderr, for work of unknown length."""

from __future__ import annotations

from typing import Any

from resnet_deploy.progress import Progress
from resnet_deploy.visible import visible_line

_COUNTS_IMAGES = frozenset({"calibrating", "evaluating", "classifying"})
"""Stages whose progress is a number of images."""


class ProgressBar:
    """A progress bar on stderr for work of unknown length; silent when not a terminal.

    Use it as a context manager; it is itself a :class:`Progress`.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        console = Console(stderr=True)
        self._bar = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show ``done`` of ``total`` in the line called ``stage``."""
        if stage not in self._tasks:
            # Work that goes on where an earlier run stopped does not begin at 0.
            self._tasks[stage] = self._bar.add_task(
                visible_line(stage), completed=done, total=total or None, rate=""
            )
        number = self._tasks[stage]
        self._bar.update(number, completed=done, total=total or None)
        speed = next(task.speed for task in self._bar.tasks if task.id == number)
        if speed and stage in _COUNTS_IMAGES:
            self._bar.update(number, rate=f"{speed:.1f} images/s")
