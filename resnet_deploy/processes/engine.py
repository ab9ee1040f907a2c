"""Tasks spread over workers: one protocol for threads, processes and clusters.

An :class:`Engine` has workers that learn from one task after the other, and hands over what they
have learned when it is asked. Its results must not depend on which worker got which task.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Generic, Protocol, TypeVar

A = TypeVar("A")
R = TypeVar("R")
Task_contra = TypeVar("Task_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)

_TASKS_PER_WORKER = 2
"""One in progress, and one that waits."""


class Engine(
    AbstractContextManager["Engine[Task_contra, Result_co]"], Protocol[Task_contra, Result_co]
):
    """Spreads tasks over workers; leaving the block drops what has not begun."""

    def submit(self, task: Task_contra) -> None:
        """Take ``task`` on; returns once there is room for another one.

        Raises what this task or an earlier one raised.
        """

    def collect(self) -> Sequence[Result_co]:
        """Wait for all tasks, and return what each worker has learned since the last call.

        Raises what a task raised.
        """


class Worker(Protocol[Task_contra, Result_co]):
    """Does one task after the other, and remembers what it has learned."""

    def work(self, task: Task_contra) -> None:
        """Do ``task``."""

    def take(self) -> Result_co:
        """Return what was learned since the last call, and forget it."""

    def kill(self) -> None:
        """End what is being done at once, where that can be done."""


class WorkerPool(Generic[Task_contra, Result_co]):
    """Implements :class:`Engine` with a thread per worker; a task goes to the one that is free.

    After an exception, workers are killed.
    """

    def __init__(self, workers: Sequence[Worker[Task_contra, Result_co]]) -> None:
        self._workers = workers
        self._free: queue.SimpleQueue[Worker[Task_contra, Result_co]] = queue.SimpleQueue()
        for worker in workers:
            self._free.put(worker)
        self._threads = ThreadPoolExecutor(len(workers))
        self._running: deque[Future[None]] = deque()

    def submit(self, task: Task_contra) -> None:
        """See :meth:`Engine.submit`."""
        while len(self._running) >= _TASKS_PER_WORKER * len(self._workers):
            self._running.popleft().result()
        self._running.append(self._threads.submit(self._work, task))

    def collect(self) -> list[Result_co]:
        """See :meth:`Engine.collect`."""
        while self._running:
            self._running.popleft().result()
        return list(self._threads.map(lambda worker: worker.take(), self._workers))

    def _work(self, task: Task_contra) -> None:
        worker = self._free.get()
        try:
            worker.work(task)
        finally:
            self._free.put(worker)

    def __enter__(self) -> WorkerPool[Task_contra, Result_co]:
        return self

    def __exit__(self, *exception: object) -> None:
        if exception[0] is not None:
            for worker in self._workers:
                worker.kill()
        self._threads.shutdown(cancel_futures=True)


def at_once(function: Callable[[A], R], arguments: Iterable[A]) -> list[R]:
    """Return ``function`` of each of ``arguments``, each called in a thread of its own.

    The threads only wait for other processes. An exception, Ctrl-C as well, does not wait for
    those that are still busy: their callers end the processes.
    """
    items = list(arguments)
    pool = ThreadPoolExecutor(max(1, len(items)))
    try:
        return list(pool.map(function, items))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
