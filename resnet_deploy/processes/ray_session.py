"""Ray in this process: started for as long as it is used, or connected to where it runs.

A little long: it is mostly what Ray does that a command must not do, such as writing to stdout,
taking over signals, or leaving processes behind.
"""

from __future__ import annotations

import ctypes
import importlib
import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import psutil

from resnet_deploy.errors import MissingDependencyError, RunnerError, one_line
from resnet_deploy.spec.cluster import ClusterSpec
from resnet_deploy.visible import recorded_line

logger = logging.getLogger(__name__)

INSTALL = "pip install 'resnet-deploy[cluster]'"

_CONNECT_SECONDS = 5.0
_GOODBYE_SECONDS = 3.0
_STARTS = 3

_PR_SET_CHILD_SUBREAPER = 36

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_gcs_server_request_timeout_seconds": "10",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_worker_niceness": "0",  # workers are this command, which has a priority
}
"""What Ray reads from the environment when it is imported, unless the user has set it."""

_LONGEST_SOCKET_FOLDER = 40
"""Letters: Ray's sockets lie deeper, and the names of sockets have at most 107 bytes."""


@contextmanager
def started(ray: Any, spec: ClusterSpec, threads: int) -> Iterator[None]:
    """Connect ``ray`` in the block to the cluster of ``spec``, or to one that is started for it.

    Raises:
        RunnerError: there is no cluster at that address, or it can't be used from here.
    """
    with ExitStack() as stack:
        if spec.host:
            _check_reachable(spec)
            how: dict[str, Any] = {"address": f"{spec.host}:{spec.port}"}
        else:
            folder = stack.enter_context(_socket_folder())
            stack.enter_context(_ends_with_us(folder))
            how = {
                "address": "local",
                "num_cpus": spec.workers or threads,
                "include_dashboard": False,
                "_temp_dir": folder,
            }
            stack.enter_context(_own_token())
            stack.enter_context(_scratch())
        stack.enter_context(_told_as_log())
        stack.enter_context(_public_command())
        stack.callback(ray.shutdown, wait_for_processes=not spec.host)
        try:
            _init(ray, how)
        except Exception as error:  # of many kinds, some of them pages long
            raise RunnerError(_why_not(spec, error)) from error
        yield


def _init(ray: Any, how: dict[str, Any]) -> None:
    """Connect; on a busy machine a node may miss the 30 s that Ray gives it, and gets them again.

    Raises:
        Exception: of any kind.
    """
    for attempt in range(1, _STARTS + 1):
        try:
            with _handlers_kept(), _silent_stderr():
                ray.init(**how, log_to_driver=False, configure_logging=False)
            return
        except Exception as error:
            if attempt == _STARTS or "timed out during startup" not in str(error):
                raise
            logger.info("Ray did not start in time: trying again")
            ray.shutdown()


def imported() -> Any:
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
            f"this machine is not a node of {spec}: let it join first, with or without CPUs, by "
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
def _scratch() -> Iterator[None]:
    """Give the processes that Ray starts a temporary folder, which goes with what they leave there.

    One that is ended can't tidy up. This process keeps its own.
    """
    tempfile.gettempdir()  # it is looked up once
    with (
        tempfile.TemporaryDirectory(prefix="rd-ray-", ignore_cleanup_errors=True) as folder,
        _environment(TMPDIR=folder),
    ):
        yield


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Set ``variables`` for the processes that are started in the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _ends_with_us(folder: str) -> Iterator[None]:
    """Let no process of the Ray in ``folder`` outlive the block.

    Its raylet starts others, which do not always notice that it has gone: while it starts, they
    wait forever. As the subreaper this process gets them as its own children then.
    """
    linux = sys.platform == "linux"
    if linux:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        left = [child for child in _descendants() if _is_of_ray(child, folder)]
        _, alive = psutil.wait_procs(left, _GOODBYE_SECONDS)
        for child in alive:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(alive, _GOODBYE_SECONDS)
        if linux:
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 0)


def _descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _is_of_ray(process: psutil.Process, folder: str) -> bool:
    try:
        command = process.cmdline()
    except psutil.Error:
        return False
    return any(folder in word or word.startswith("ray::") for word in command)


@contextmanager
def _own_token() -> Iterator[None]:
    """Let only this process and its own use the Ray that it starts, whose ports are open to all."""
    token = os.environ.get("RAY_AUTH_TOKEN") or secrets.token_hex(32)
    try:
        with _environment(RAY_AUTH_TOKEN=token, RAY_AUTH_MODE="token"):
            _read_token_anew()
            yield
    finally:
        _read_token_anew()


def _read_token_anew() -> None:
    """Let Ray forget what it has read of the environment: it does so once per process."""
    ray = importlib.import_module("ray._raylet")
    ray.Config.initialize("")
    ray.AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _public_command() -> Iterator[None]:
    """Let Ray's list of jobs, which every user of a cluster may read, hold no password of a URL."""
    module: Any = importlib.import_module("ray._private.utils")
    told = module.get_entrypoint_name

    def without_what_is_secret() -> str:
        return recorded_line(sys.orig_argv)

    module.get_entrypoint_name = without_what_is_secret
    try:
        yield
    finally:
        module.get_entrypoint_name = told


@contextmanager
def _told_as_log() -> Iterator[None]:
    """Log what Ray tells of workers that died: it prints that to stdout, whatever it is asked."""
    module: Any = importlib.import_module("ray._private.worker")
    printing = module.print_to_stdstream

    def log(data: dict[str, Any], ignore_prefix: bool = False) -> None:
        logger.debug("Ray: %s", one_line(" ".join(data["lines"])))

    module.print_to_stdstream = log
    try:
        yield
    finally:
        module.print_to_stdstream = printing


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
