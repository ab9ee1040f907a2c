"""Shards on processes of this machine: as on a cluster, without one.

A process of :class:`LocalPool` is ``python -m resnet_deploy.processes.local_pool``. What goes
through its pipes is pickled: both ends are this program.
"""

from __future__ import annotations

import os
import pickle
import queue
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

import psutil

from resnet_deploy.errors import ResnetDeployError, one_line
from resnet_deploy.processes.messages import Data, Message, serve
from resnet_deploy.processes.parent import ChildProcess
from resnet_deploy.processes.shards import Answer, Job, Shard

S = TypeVar("S", bound=Shard)
R = TypeVar("R")

CHILD = (sys.executable, "-m", "resnet_deploy.processes.local_pool")

_OF_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class LocalPool(Generic[S, R]):
    """Implements ``Pool`` with one process per worker; a context manager.

    Args:
        job: what every worker opens.
        workers: how many there are.
        threads: that libraries start in each of them.
        folder: where they run, and where everything temporary of theirs is: it is its caller's,
            who removes what a worker that was ended left there.
        command: what to start; tests put misbehaving children there.
    """

    def __init__(
        self,
        job: Job[S, R],
        workers: int,
        threads: int,
        folder: Path,
        command: Sequence[str] = CHILD,
    ) -> None:
        self.workers = workers
        self._job = pickle.dumps(job)
        self._folder, self._command = folder, command
        self._environment = dict(os.environ)
        self._environment |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
        self._environment |= dict.fromkeys(_OF_THREADS, str(threads))
        self._children: dict[int, tuple[ExitStack, ChildProcess]] = {}
        self._answers: queue.SimpleQueue[Answer[R]] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(workers)
        self._next = 0

    def start(self, worker: int) -> int:
        """See ``Pool.start``."""
        self._end(worker)
        stack = ExitStack()
        # Here and not in a thread: a child ends with the thread that started it.
        child = stack.enter_context(
            ChildProcess(self._command, self._folder, "a worker", environment=self._environment)
        )
        self._children[worker] = stack, child
        return self._asked(child, "open", self._job)

    def submit(self, worker: int, shard: S) -> int:
        """See ``Pool.submit``."""
        return self._asked(self._children[worker][1], "work", pickle.dumps(shard))

    def wait(self, seconds: float) -> Sequence[Answer[R]]:
        """See ``Pool.wait``."""
        found: list[Answer[R]] = []
        with suppress(queue.Empty):
            found.append(self._answers.get(timeout=seconds))
            while True:
                found.append(self._answers.get_nowait())
        return found

    def _asked(self, child: ChildProcess, do: str, data: bytes) -> int:
        self._next += 1
        self._threads.submit(self._ask, self._next, child, do, data)
        return self._next

    def _ask(self, ticket: int, child: ChildProcess, do: str, data: bytes) -> None:
        try:
            value = pickle.loads(child.ask(do, data=data).data)  # noqa: S301 - this program wrote it
        except Exception as error:  # whatever it is: who waits for an answer must get one
            self._answers.put(Answer(ticket=ticket, lost=one_line(error)))
            return
        if isinstance(value, ResnetDeployError):
            self._answers.put(Answer(ticket=ticket, error=value))
        else:
            self._answers.put(Answer(ticket=ticket, value=value))

    def _end(self, worker: int) -> None:
        if worker in self._children:
            stack, child = self._children.pop(worker)
            with stack:
                _kill_below(child.pid)
                child.kill()

    def __enter__(self) -> LocalPool[S, R]:
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in list(self._children):
            self._end(worker)
        self._threads.shutdown()


def _kill_below(pid: int) -> None:
    """End what the process ``pid`` has started: it can't do so itself any more."""
    with suppress(psutil.Error):
        for process in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.Error):
                process.kill()


class _Worker:
    """What a process answers; this package's own errors are answers, as they may be the user's."""

    _work: Callable[[Any], Any]

    def open(self, fields: dict[str, Any], data: Data) -> Message:
        return _answered(lambda: self._opened(pickle.loads(data)))  # noqa: S301 - our parent's

    def _opened(self, job: Job[Any, Any]) -> int:
        self._work = job.open()
        return os.getpid()

    def work(self, fields: dict[str, Any], data: Data) -> Message:
        return _answered(lambda: self._work(pickle.loads(data)))  # noqa: S301 - our parent's


def _answered(ask: Callable[[], object]) -> Message:
    try:
        answer = ask()
    except ResnetDeployError as error:
        answer = error
    return Message(data=pickle.dumps(answer))


if __name__ == "__main__":
    one = _Worker()
    serve({"open": one.open, "work": one.work})
