"""A function of many things in several threads, whose results come in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
R = TypeVar("R")


def in_order(
    function: Callable[[A], R], items: Iterable[A], *, workers: int, waiting: int = 0
) -> Iterator[R]:
    """Yield ``function`` of each of ``items``, which ``workers`` threads compute.

    Items are asked for when they are needed: there are as many at a time as workers, and
    ``waiting`` more. Whoever stops asking, by an exception as well, waits for what has begun.

    Raises:
        Exception: what ``function`` raises, when the results in front of it were yielded.
    """
    if workers == 1 and not waiting:
        yield from map(function, items)
        return
    pending: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            del item  # it may be large, and the next one takes its time
            if len(pending) >= workers + waiting:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
