"""Training as a process: killed, interrupted, out of disk; and from nothing to good in seconds."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from resnet_deploy.cli.main import cli
from resnet_deploy.training.checkpoint import load_checkpoint
from tests.support.training_process import Run
from tests.support.training_runs import made_up, same

KILLS = 10


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
