"""Processes of their own that need not import PyTorch first, which takes longer than their work.

They are children of a server that has imported it, and share nothing else with it or one another.
What they miss of ``python -m resnet_deploy`` is the start and the end of an interpreter.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

# One server serves a whole test process, so its modules are those of all who use it. ONNX Runtime,
# which starts a thread, is left to those who run it.
FORKS: ForkServerContext = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.support.preloaded"])


def write_into(stdout: Path, stderr: Path | None = None) -> None:
    """Let this process write into files as a shell's ``>`` does; both into one without a second."""
    descriptors = [
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for path in (stdout, stderr)
        if path is not None
    ]
    os.dup2(descriptors[0], 1)
    os.dup2(descriptors[-1], 2)


def _within(cwd: Path, environment: dict[str, str], said: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    write_into(said / "stdout", said / "stderr")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the server ignores it


def work(arguments: Sequence[str], cwd: Path, environment: dict[str, str], said: Path) -> None:
    from resnet_deploy.cli.main import main

    _within(cwd, environment, said)
    sys.argv = ["resnet-deploy", *arguments]
    main()


def _with_new_modules(
    arguments: Sequence[str], cwd: Path, environment: dict[str, str], said: Path
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "resnet_deploy"]:
        del sys.modules[name]
    _within(cwd, environment, said)  # so that what an import says is kept
    work(arguments, cwd, environment, said)


def _script(code: str, cwd: Path, environment: dict[str, str], said: Path) -> None:
    _within(cwd, environment, said)
    warnings.simplefilter("error")
    exec(compile(code, "<script>", "exec"), {"__name__": "__main__"})


def run_forked(
    *arguments: str, cwd: Path, new_modules: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run the command in ``cwd`` and return how it ended and what it said.

    With ``new_modules`` it imports all of this project itself, in the order of a command that is
    started by a user: modules that need one another are found out.
    """
    return _run(_with_new_modules if new_modules else work, arguments, cwd)


def script_forked(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python ``code`` in ``cwd``, warnings being errors; return how it ended and all it said.

    It has no module of its own: what another process is to unpickle has to lie elsewhere.
    """
    return _run(_script, code, cwd)


def _run(
    do: Callable[[Any, Path, dict[str, str], Path], None], what: str | tuple[str, ...], cwd: Path
) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as name:
        said = Path(name)
        process = FORKS.Process(target=do, args=(what, cwd, dict(os.environ), said))
        process.start()
        process.join()
        assert process.exitcode is not None
        return subprocess.CompletedProcess(
            what,
            process.exitcode,
            (said / "stdout").read_text("utf-8"),
            (said / "stderr").read_text("utf-8"),
        )
