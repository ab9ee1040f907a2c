"""Ray as what runs shards: a Ray of its own on this machine, or a cluster that runs already.

Nothing of it is imported until it is asked for. A worker is an actor on one CPU: a process that
opens its job once and then works on one shard after the other. What it answers with is small, and
what every worker needs is in Ray's object store, once per machine.
"""

from __future__ import annotations

import importlib
import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from resnet_deploy.errors import (
    MissingDependencyError,
    ResnetDeployError,
    RunnerError,
    one_line,
)
from resnet_deploy.processes.shards import Answer, Job, Shard, in_shards
from resnet_deploy.spec.cluster import ClusterSpec

logger = logging.getLogger(__name__)

S = TypeVar("S", bound=Shard)
R = TypeVar("R")

INSTALL = "pip install 'resnet-deploy[cluster]'"

_CONNECT_SECONDS = 5.0

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_gcs_server_request_timeout_seconds": "10",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
"""What Ray reads from the environment when it is imported, unless the user has set it."""

_LONGEST_SOCKET_FOLDER = 40
"""Letters: Ray's sockets lie deeper, and the names of sockets have at most 107 bytes."""


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

    def map(self, job: Job[S, R], shards: Iterable[S]) -> Generator[R, None, None]:
        """Yield what ``job`` makes of each of ``shards``, in order.

        Raises:
            ResnetDeployError: see :func:`~resnet_deploy.processes.shards.in_shards`.
        """
        with RayPool(self, job) as pool:
            yield from in_shards(pool, shards)

    def take(self) -> Any:
        """Return a worker that has nothing to do."""
        return self._idle.pop() if self._idle else self._kind.remote()

    def give_back(self, worker: Any) -> None:
        """Keep ``worker`` for the next job: starting one takes seconds."""
        worker.close.remote()
        self._idle.append(worker)


_CONNECTED: ContextVar[Cluster | None] = ContextVar("_CONNECTED", default=None)


@contextmanager
def connected(spec: ClusterSpec, threads: int) -> Iterator[Cluster]:
    """Connect this process to the cluster of ``spec`` in the block; a Ray of its own then ends.

    Where it is connected already, by a block around this one or by the program itself, that is
    what is used. ``threads`` is how many CPUs a Ray of its own has, if ``spec`` does not say it.

    Raises:
        MissingDependencyError: Ray is not installed.
        RunnerError: there is no cluster at that address, or it can't be used from here.
    """
    around = _CONNECTED.get()
    if around is not None:
        yield around
        return
    ray = _imported()
    with ExitStack() as stack:
        if not ray.is_initialized():
            stack.enter_context(_started(ray, spec, threads))
        cluster = Cluster(ray, spec)
        stack.callback(_CONNECTED.reset, _CONNECTED.set(cluster))
        yield cluster


@contextmanager
def _started(ray: Any, spec: ClusterSpec, threads: int) -> Iterator[None]:
    with ExitStack() as stack:
        if spec.host:
            _check_reachable(spec)
            how: dict[str, Any] = {"address": f"{spec.host}:{spec.port}"}
        else:
            folder = stack.enter_context(_socket_folder())
            how = {
                "address": "local",
                "num_cpus": spec.workers or threads,
                "include_dashboard": False,
                "_temp_dir": folder,
            }
            stack.enter_context(_own_token())
        stack.callback(ray.shutdown, wait_for_processes=not spec.host)
        try:
            with _handlers_kept(), _silent_stderr():
                ray.init(**how, log_to_driver=False, configure_logging=False)
        except Exception as error:  # of many kinds, some of them pages long
            raise RunnerError(_why_not(spec, error)) from error
        yield


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


def _imported() -> Any:
    """Return the package ``ray``.

    Raises:
        MissingDependencyError: it is not installed.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        ray = importlib.import_module("ray")
    except ImportError as error:
        raise MissingDependencyError(f"--cluster needs the package ray: {INSTALL}") from error
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    return ray


def _check_reachable(spec: ClusterSpec) -> None:
    try:
        socket.create_connection((spec.host, spec.port), _CONNECT_SECONDS).close()
    except OSError as error:
        raise RunnerError(
            f"no cluster answers at {spec} ({one_line(error)}): name the head node's address, "
            "which ray start --head tells"
        ) from error
    if not importlib.import_module("ray._private.services").find_node_ids():
        raise RunnerError(
            f"this machine is no node of {spec}: let it join first, with or without CPUs, by "
            f"ray start --address={spec.host}:{spec.port} --num-cpus=0"
        )


def _why_not(spec: ClusterSpec, error: BaseException) -> str:
    cause = error.__cause__ or error
    if not spec.host:
        return f"Ray does not start on this machine: {one_line(cause)}"
    return (
        f"{spec} can't be used: {one_line(cause)}; it must run the same releases of Python and "
        "Ray, and this machine must be one of its nodes"
    )


@contextmanager
def _socket_folder() -> Iterator[str]:
    """Give a folder for Ray's logs and sockets, with a name that is short enough for these."""
    usual = tempfile.gettempdir()
    parent = usual if len(usual) < _LONGEST_SOCKET_FOLDER else "/tmp"  # noqa: S108
    with tempfile.TemporaryDirectory(
        prefix="rd-ray-", dir=parent, ignore_cleanup_errors=True
    ) as folder:
        yield folder


@contextmanager
def _own_token() -> Iterator[None]:
    """Let only this process and its own use the Ray that it starts, whose ports are open to all."""
    names = ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE")
    before = {name: os.environ.get(name) for name in names}
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    _read_token_anew()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
        _read_token_anew()


def _read_token_anew() -> None:
    """Let Ray forget what it has read of the environment: it does so once per process."""
    ray = importlib.import_module("ray._raylet")
    ray.Config.initialize("")
    ray.AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Drop what is written to stderr, also by C++: there are errors, and they say it again."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Keep the handler of SIGTERM, in whose place ``ray.init`` puts one that exits."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = signal.getsignal(signal.SIGTERM)
    stopped = False
    try:
        yield
    except SystemExit:
        stopped = True
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if kept is None else kept)
    if stopped:
        signal.raise_signal(signal.SIGTERM)
