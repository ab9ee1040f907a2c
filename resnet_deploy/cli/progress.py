"""Progress on stderr: what runs, how far it is, how fast it goes, and what time is left."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from resnet_deploy.cli.pace import Pace, clock_time
from resnet_deploy.progress import ImageStage, Progress
from resnet_deploy.visible import visible_line

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

_MOST_LINES = 6
"""Stages on the screen: the last ones that were heard of."""

_BAR_WIDTH = 24
_REFRESHES_PER_SECOND = 4


class ProgressBar:
    """A line for each stage on a terminal; silent where stderr is none, and with ``--quiet``.

    Use it as a context manager; it is itself a :class:`Progress`. All is wiped when it ends.

    Args:
        stream: where to; by default stderr.
        clock: seconds, of a clock that never goes back.
    """

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._paces: dict[str, Pace] = {}
        self._lines: list[str] = []
        self._live: Live | None = None
        stream = stream or sys.stderr
        # A pipe is no terminal, whatever FORCE_COLOR says of colours.
        if stream.isatty() and logging.getLogger("resnet_deploy").isEnabledFor(logging.WARNING):
            self._live = _live_on(stream, self.table)

    def __enter__(self) -> Progress:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show ``done`` of ``total`` in the line called ``stage``."""
        if self._live is None:
            return
        now = self._clock()
        known = self._paces.get(stage)
        if known is None:
            self._paces[stage] = Pace(done, total, now)
        else:
            known.tell(done, total, now)
        # What refreshes in a thread of its own sees the old list or the new one.
        if stage not in self._lines:
            others = [] if total == 0 else self._lines  # of what comes next, this is the headline
            self._lines = [*others, stage][-_MOST_LINES:]

    def table(self) -> Table:
        """Return what is on the screen."""
        from rich.progress_bar import ProgressBar as Bar
        from rich.table import Table
        from rich.text import Text

        now = self._clock()
        table = Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True, overflow="ellipsis")
        for _ in range(4):
            table.add_column(no_wrap=True)
        for stage in self._lines:
            pace = self._paces[stage]
            counted = pace.total > 1
            table.add_row(
                Text(visible_line(stage)),
                Bar(
                    total=pace.total or None,
                    completed=min(pace.done, pace.total),
                    width=_BAR_WIDTH,
                    pulse=not counted and not pace.finished,
                    animation_time=now,
                ),
                Text(f"{pace.done}/{pace.total}" if counted else "", "progress.download"),
                Text(_rate(stage, pace), "progress.data.speed"),
                Text(_time(pace, now), "progress.remaining"),
            )
        return table


def _live_on(stream: TextIO, table: Callable[[], Table]) -> Live | None:
    """Return what keeps ``table`` on the screen, or None where the cursor can't be moved."""
    from rich.console import Console
    from rich.live import Live

    console = Console(file=stream)
    if not console.is_terminal or console.is_dumb_terminal:
        return None
    return Live(
        console=console,
        get_renderable=table,
        refresh_per_second=_REFRESHES_PER_SECOND,
        transient=True,
        redirect_stdout=stream is sys.stderr,
        redirect_stderr=stream is sys.stderr,
    )


def _rate(stage: str, pace: Pace) -> str:
    return f"{pace.rate:.1f} images/s" if isinstance(stage, ImageStage) and pace.rate else ""


def _time(pace: Pace, now: float) -> str:
    """Return what time is left, if that is known; else what has passed."""
    left = pace.left(now)
    if left is not None:
        return f"{clock_time(left)} left"
    return clock_time(pace.elapsed(now)) if pace.finished else f"{clock_time(pace.elapsed(now))} …"
