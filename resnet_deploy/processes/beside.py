"""Work in a thread of its own, while this one does something else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from resnet_deploy.progress import Progress

T = TypeVar("T")


class _StoppedError(Exception):
    """The block that the work runs beside has ended with an exception."""


@contextmanager
def beside(work: Callable[[Progress], T]) -> Iterator[Callable[[], T]]:
    """Run ``work`` in a thread while the block runs; give what waits for its result.

    An exception of ``work`` is raised where its result is asked for. One of the block, Ctrl-C as
    well, ends ``work`` when it next tells its progress, and the block ends after that. Its progress
    is shown nowhere: whoever shows it need not be ready for two threads.
    """
    stopped = threading.Event()

    def told(stage: str, done: int, total: int) -> None:
        if stopped.is_set():
            raise _StoppedError

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(work, told)
        try:
            yield running.result
        except BaseException:
            stopped.set()
            raise
