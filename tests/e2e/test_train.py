"""Training as a process: killed, interrupted, out of disk; and from nothing to good in seconds."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import signal
import time
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from resnet_deploy.cli.main import cli
from resnet_deploy.train.checkpoint import load_checkpoint
from tests.train.runs import made_up, same

# A server imports torch once; its children are processes of their own that start at once.
FORKS: ForkServerContext = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["resnet_deploy.train.run", "tests.e2e.test_train"])

KILLS = 10
OPTIONS = [
    *("--depth", "8", "--image-size", "16", "--recipe", "cifar-fast", "--epochs", "3"),
    *("--batch-size", "4", "--ema", "0.9", "--threads", "1", "--save-seconds", "0"),
]


def work(arguments: list[str], log: Path, most_bytes: int | None) -> None:
    """Be ``resnet-deploy train``, all output in ``log``, no file longer than ``most_bytes``."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
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


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up(tmp_path_factory.mktemp("data") / "made-up.npz", train=161)


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    run = Run(data, out)
    assert run.end() == 0, run.log.read_text()
    return out


@pytest.mark.slow
def test_a_run_killed_ten_times_ends_as_if_it_had_not_been(
    data: Path, undisturbed: Path, tmp_path: Path
) -> None:
    draws = random.Random(0)
    killed = 0
    while killed < KILLS:
        run = Run(data, tmp_path / "run", "--resume")
        run.wait_for_saves(draws.choice([1, 2, 5, 9]))
        time.sleep(draws.uniform(0, 0.03))
        assert run.end(signal.SIGKILL) == -signal.SIGKILL, run.log.read_text()
        load_checkpoint(tmp_path / "run" / "last.pt")
        killed += 1
    run = Run(data, tmp_path / "run", "--resume")
    assert run.end() == 0, run.log.read_text()
    assert same(tmp_path / "run", undisturbed)
    assert not list((tmp_path / "run").glob(".*"))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_a_signal_saves_and_leaves(
    number: signal.Signals, code: int, data: Path, undisturbed: Path, tmp_path: Path
) -> None:
    run = Run(data, tmp_path / "run")
    run.wait_for_saves(7)
    assert run.end(number) == code, run.log.read_text()
    assert "--resume goes on from there" in run.log.read_text()
    again = Run(data, tmp_path / "run", "--resume")
    assert again.end() == 0, again.log.read_text()
    assert same(tmp_path / "run", undisturbed)


def test_a_full_disk_is_one_line_and_loses_nothing(
    data: Path, undisturbed: Path, tmp_path: Path
) -> None:
    run = Run(data, tmp_path / "run")
    run.wait_for_saves(7)
    run.end(signal.SIGINT)
    before = (tmp_path / "run" / "last.pt").read_bytes()
    full = Run(data, tmp_path / "run", "--resume", most_bytes=len(before) // 2)
    assert full.end() == 2
    assert full.log.read_text() == (
        f"resnet-deploy: error: cannot write {full.last}: File too large; nothing was changed "
        "there\n"
    )
    assert (tmp_path / "run" / "last.pt").read_bytes() == before
    again = Run(data, tmp_path / "run", "--resume")
    assert again.end() == 0, again.log.read_text()
    assert same(tmp_path / "run", undisturbed)


def test_cifar_fast_learns_in_seconds(tmp_path: Path) -> None:
    data = made_up(tmp_path / "made-up.npz", train=240, test=90)
    out = tmp_path / "run"
    arguments = ["train", "--depth", "8", "--image-size", "16", "--recipe", "cifar-fast"]
    arguments += ["--epochs", "4", "--batch-size", "16", "--threads", "1", "--json"]
    threads = torch.get_num_threads()
    try:
        result = CliRunner().invoke(cli, [*arguments, "--data", str(data), "-o", str(out)])
    finally:
        torch.set_num_threads(threads)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["top1"] > 0.9
