"""``resnet-deploy train`` in a process that a test interrupts or kills."""

from __future__ import annotations

import os
import resource
import signal
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from resnet_deploy.cli.main import cli
from tests.support.forks import FORKS, write_into

OPTIONS = [
    *("--depth", "8", "--image-size", "16", "--recipe", "cifar-fast", "--epochs", "3"),
    *("--batch-size", "4", "--ema", "0.9", "--threads", "1", "--save-seconds", "0"),
]


def work(arguments: list[str], log: Path, most_bytes: int | None) -> None:
    """Be ``resnet-deploy train``, all output in ``log``, no file longer than ``most_bytes``."""
    write_into(log)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if most_bytes is not None:
        # Python ignores SIGXFSZ: writing beyond the limit fails like writing to a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))
    cli.main(arguments, prog_name="resnet-deploy")


class Run:
    """One call of ``resnet-deploy train``."""

    def __init__(self, data: Path, out: Path, *more: str, most_bytes: int | None = None) -> None:
        self.last, self.log = out / "last.pt", out.parent / f"{out.name}.log"
        arguments = ["train", *OPTIONS, "--data", str(data), "-o", str(out), *more]
        self.process: ForkServerProcess = FORKS.Process(
            target=work, args=(arguments, self.log, most_bytes)
        )
        self.process.start()

    def wait_for_saves(self, count: int) -> None:
        """Return when ``last.pt`` was replaced so many times, or the process has ended."""
        seen = self._inode()
        while count and self.process.is_alive():
            now = self._inode()
            count, seen = (count - 1, now) if now != seen else (count, seen)
            time.sleep(0.001)

    def end(self, number: signal.Signals | None = None) -> int | None:
        if number is not None and self.process.pid is not None and self.process.is_alive():
            os.kill(self.process.pid, number)
        self.process.join(240)
        return self.process.exitcode

    def _inode(self) -> int:
        try:
            return self.last.stat().st_ino
        except FileNotFoundError:
            return 0
