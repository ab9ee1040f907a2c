"""``torchrun``: the curve of one process, and a run that survives the loss of a worker."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from resnet_deploy.training.checkpoint import load_checkpoint
from tests.support.forks import run_forked

EPOCHS = 2
COUNT = 240
TEST_COUNT = 30

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def training(data: Path, out: Path) -> list[str]:
    words = ["train", "--depth", "8", "--image-size", "16", "--data", str(data)]
    words += ["--recipe", "cifar-fast", "--batch-size", "12", "--lr", "0.02"]
    return [
        *words,
        "--precision",
        "float32",
        "--threads",
        "1",
        "--epochs",
        str(EPOCHS),
        "-o",
        str(out),
    ]


def start(data: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *TORCHRUN, "-m", "resnet_deploy", *training(data, out), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def curve(out: Path) -> list[tuple[float, ...]]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    names = ("steps", "train_loss", "train_top1", "test_loss", "test_top1")
    return [tuple(line[name] for name in names) for line in lines if line["kind"] == "epoch"]


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise, in which the colour tells the class."""
    random = np.random.RandomState(0)
    arrays: dict[str, Any] = {}
    for part, count in (("train", COUNT), ("test", TEST_COUNT)):
        labels = np.arange(count) % 3
        images = random.randint(0, 200, (count, 16, 16, 3))
        images[np.arange(count), :, :, labels] += 20
        arrays |= {f"x_{part}": images.astype(np.uint8), f"y_{part}": labels}
    path = tmp_path_factory.mktemp("data") / "noise.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def alone(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[float, ...]]:
    """The curve of one process."""
    out = tmp_path_factory.mktemp("alone")
    done = run_forked(*training(data, out), cwd=out)
    assert done.returncode == 0, done.stderr
    return curve(out)


@pytest.mark.slow
def test_a_lost_worker_ends_the_run_and_resume_reaches_the_curve_of_one(
    data: Path, alone: list[tuple[float, ...]], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    torchrun = start(data, out, "--save-seconds", "0")
    wait_for(out / "last.pt", torchrun)
    _, worker = sorted(psutil.Process(torchrun.pid).children(), key=lambda one: one.pid)
    worker.send_signal(signal.SIGKILL)
    _, errors = torchrun.communicate(timeout=60)
    assert torchrun.returncode != 0
    said = [line for line in errors.splitlines() if line.startswith("resnet-deploy: ")]
    assert len(said) == 1, errors
    # gloo may not notice the loss while it sends; then it takes torchrun's signal, and patience.
    whole = "the last checkpoint is whole; --resume continues from it"
    assert said[0].endswith((f" lost another one: {whole}", f" which may be lost: {whole}"))

    stopped_at = load_checkpoint(out / "last.pt").position
    assert (stopped_at.epoch, stopped_at.step) != (0, 0)
    assert stopped_at.epoch < EPOCHS
    again = start(data, out, "--resume")
    printed, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    assert printed.count("deploy it:") == 1  # one process talks
    together = curve(out)
    assert len(together) == len(alone) == EPOCHS
    for one, other in zip(together, alone, strict=True):
        assert one[0] == other[0]
        # Rounding differs; a picture on the edge may change sides.
        assert (one[1], one[3]) == pytest.approx((other[1], other[3]), rel=5e-3)
        assert one[2] == pytest.approx(other[2], abs=1.5 / COUNT)
        assert one[4] == pytest.approx(other[4], abs=1.5 / TEST_COUNT)
