"""Ray as what runs shards: a Ray of its own on this machine, or a cluster that runs already.

Nothing of it is imported until it is asked for. A worker is an actor on one CPU: a process that
opens its job once and then works on one shard after the other. What it answers with is small, and
what every worker needs is in Ray's object store, once per machine.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from resnet_deploy.errors import (
    ResnetDeployError,
    RunnerError,
)
from resnet_deploy.processes.ray_session import imported, started
from resnet_deploy.processes.shards import Answer, Job, Shard, in_shards
from resnet_deploy.spec.cluster import ClusterSpec

logger = logging.getLogger(__name__)

S = TypeVar("S", bound=Shard)
R = TypeVar("R")


class Cluster:
    """A cluster that this process is connected to, and workers of it that wait for the next job."""

    def __init__(self, ray: Any, spec: ClusterSpec) -> None:
        self.ray = ray
        self._spec = spec
        self._kind = ray.remote(num_cpus=1, max_restarts=0, scheduling_strategy="SPREAD")(_Worker)
        self._idle: list[Any] = []

    @property
    def workers(self) -> int:
        """How many processes of one core each are meant to work.

        Raises:
            RunnerError: the cluster has no CPUs.
        """
        if self._spec.workers:
            return self._spec.workers
        found = int(self.ray.cluster_resources().get("CPU", 0))
        if not found:
            raise RunnerError(f"the cluster {self._spec} has no CPUs: start a node that has some")
        return found

    def map(
        self, job: Job[S, R], shards: Iterable[S], *, ordered: bool = True
    ) -> Generator[R, None, None]:
        """Yield what ``job`` makes of each of ``shards``.

        Raises:
            ResnetDeployError: see :func:`~resnet_deploy.processes.shards.in_shards`.
        """
        with RayPool(self, job) as pool:
            yield from in_shards(pool, shards, ordered=ordered)

    def take(self) -> Any:
        """Return a worker that has nothing to do."""
        return self._idle.pop() if self._idle else self._kind.remote()

    def give_back(self, worker: Any) -> None:
        """Keep ``worker`` for the next job: starting one takes seconds."""
        worker.close.remote()
        self._idle.append(worker)


@dataclass
class _Kept:
    """What is connected from its first use on, to the end of a block."""

    stack: ExitStack
    cluster: Cluster | None = None


_KEPT: ContextVar[_Kept | None] = ContextVar("_KEPT", default=None)


@contextmanager
def kept_connected() -> Iterator[None]:
    """Let what is connected in the block stay so until it ends, for all that is done there."""
    if _KEPT.get() is not None:
        yield
        return
    with ExitStack() as stack:
        token = _KEPT.set(_Kept(stack))
        try:
            yield
        finally:
            _KEPT.reset(token)


@contextmanager
def connected(spec: ClusterSpec, threads: int) -> Iterator[Cluster]:
    """Connect this process to the cluster of ``spec`` in the block; a Ray of its own then ends.

    Where it is connected already, by a block around this one or by the program itself, that is
    what is used. ``threads`` is how many CPUs a Ray of its own has, if ``spec`` does not say it.

    Raises:
        MissingDependencyError: Ray is not installed.
        RunnerError: there is no cluster at that address, or it can't be used from here.
    """
    with kept_connected():
        kept = _KEPT.get()
        assert kept is not None, "it is set in this block"
        if kept.cluster is None:
            ray = imported()
            if not ray.is_initialized():
                kept.stack.enter_context(started(ray, spec, threads))
            kept.cluster = Cluster(ray, spec)
        yield kept.cluster


class RayPool(Generic[S, R]):
    """Implements ``Pool`` with one actor per worker; a context manager."""

    def __init__(self, cluster: Cluster, job: Job[S, R]) -> None:
        self._cluster, self._ray = cluster, cluster.ray
        self.workers = cluster.workers
        self._job = self._ray.put(job)
        self._actors: dict[int, Any] = {}
        self._tickets: dict[Any, tuple[int, int]] = {}  # reference: ticket, worker
        self._next = 0

    def start(self, worker: int) -> int:
        """See ``Pool.start``."""
        self._end(worker)
        actor = self._actors[worker] = self._cluster.take()
        return self._asked(actor.open.remote(self._job), worker)

    def submit(self, worker: int, shard: S) -> int:
        """See ``Pool.submit``."""
        return self._asked(self._actors[worker].work.remote(shard), worker)

    def wait(self, seconds: float) -> Sequence[Answer[R]]:
        """See ``Pool.wait``."""
        pending = list(self._tickets)
        if not pending:
            time.sleep(seconds)
            return []
        ready, _ = self._ray.wait(pending, num_returns=1, timeout=seconds)
        if ready and len(pending) > 1:
            ready, _ = self._ray.wait(pending, num_returns=len(pending), timeout=0)
        return [self._answer(reference) for reference in ready]

    def _asked(self, reference: Any, worker: int) -> int:
        self._next += 1
        self._tickets[reference] = self._next, worker
        return self._next

    def _answer(self, reference: Any) -> Answer[R]:
        ticket, worker = self._tickets.pop(reference)
        errors = self._ray.exceptions
        try:
            value = self._ray.get(reference)
        except errors.RayTaskError as error:  # a fault of ours: its traceback is the worker's
            raise error.as_instanceof_cause() from None
        except errors.RayError as error:
            self._end(worker)
            return Answer(ticket=ticket, lost=_how_lost(error))
        if isinstance(value, ResnetDeployError):
            return Answer(ticket=ticket, error=value)
        return Answer(ticket=ticket, value=value)

    def _end(self, worker: int) -> None:
        actor = self._actors.pop(worker, None)
        if actor is not None:
            with suppress(self._ray.exceptions.RayError):
                self._ray.kill(actor)

    def __enter__(self) -> RayPool[S, R]:
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in {worker for _, worker in self._tickets.values()}:
            self._end(worker)  # what it does is wanted by nobody
        while self._actors:
            self._cluster.give_back(self._actors.popitem()[1])


class _Worker:
    """What runs in an actor; this package's own errors are answers, as they may be the user's."""

    def __init__(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started all this

    def open(self, job: Job[Any, Any]) -> object:
        try:
            self._work = job.open()
        except ResnetDeployError as error:
            return error
        return os.getpid()

    def close(self) -> None:
        del self._work

    def work(self, shard: object) -> object:
        try:
            return self._work(shard)
        except ResnetDeployError as error:
            return error


def _how_lost(error: BaseException) -> str:
    """Return why a worker is gone, in a few words of the page that Ray has of it."""
    kind = type(error).__name__
    text = str(error)
    if kind == "OutOfMemoryError":
        return "out of memory"
    if "node" in kind.lower() or "node died" in text.lower():
        return "its node is gone"
    return "its process died"
