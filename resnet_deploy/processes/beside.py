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
def beside(work: Callable[[Progress], T], progress: Progress) -> Iterator[Callable[[], T]]:
    """Run ``work`` in a thread while the block runs; give what waits for its result.

    An exception of ``work`` is raised where its result is asked for. One of the block, Ctrl-C as
    well, ends ``work`` when it next tells its progress, and the block ends after that.

    Its progress is told to ``progress`` while this thread does nothing but wait for it, so two
    never tell at a time; until then it is the block that tells its own.
    """
    stopped, waiting, telling = threading.Event(), threading.Event(), threading.Lock()
    last: list[tuple[str, int, int]] = []

    def told(stage: str, done: int, total: int) -> None:
        if stopped.is_set():
            raise _StoppedError
        with telling:
            last[:] = [(stage, done, total)]
            if waiting.is_set():
                progress(stage, done, total)

    def tell_from_now_on() -> None:
        with telling:
            for where in [] if running.done() else last:
                progress(*where)
            waiting.set()

    def wait() -> T:
        tell_from_now_on()
        return running.result()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(work, told)
        try:
            yield wait
            tell_from_now_on()
            running.exception()  # waits; who wants to hear of it has asked for the result
        except BaseException:
            stopped.set()
            raise
