from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from resnet_deploy.errors import ArtifactError, RunnerError
from resnet_deploy.measure.process import SubjectProcess
from tests.support.bench_subjects import subject
from tests.support.here import RUNNERS_HERE
from tests.support.runner_graphs import cnn, random


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    file = tmp_path / "samples.npy"
    np.save(file, random(4, 3, 8, 8))
    return file


def script(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid)


@pytest.mark.parametrize("runner", RUNNERS_HERE)
def test_a_child_loads_runs_and_answers(runner, tmp_path: Path, samples: Path):
    timed = subject(cnn(tmp_path / "m.onnx"), runner)
    with SubjectProcess(timed, tmp_path) as process:
        assert process.load(timed, samples) > 0
        assert process.first_run() > 0
        assert process.warm_up(0.01) >= 3
        times = process.run(5)
        assert len(times) == 5
        assert min(times) > 0
        assert process.logits().shape == (4, 5)
        assert process.peak_rss_bytes() > 1e7
        pid = process.pid
    assert gone(pid)


@pytest.mark.skipif(sys.platform == "win32", reason="process states are POSIX")
def test_an_idle_child_is_stopped(tmp_path: Path, samples: Path):
    timed = subject(cnn(tmp_path / "m.onnx"))
    with SubjectProcess(timed, tmp_path) as process:
        process.load(timed, samples)
        child = psutil.Process(process.pid)
        deadline = time.monotonic() + 5
        while child.status() != psutil.STATUS_STOPPED and time.monotonic() < deadline:
            time.sleep(0.01)
        assert child.status() == psutil.STATUS_STOPPED
        assert process.run(1)


def test_the_errors_of_a_child_keep_their_class(tmp_path: Path, samples: Path):
    timed = subject(tmp_path / "missing.onnx")
    with (
        SubjectProcess(timed, tmp_path) as process,
        pytest.raises(ArtifactError, match=r"missing\.onnx does not exist"),
    ):
        process.load(timed, samples)


def test_a_child_that_dies_is_an_error_of_its_subject(tmp_path: Path, samples: Path):
    timed = subject(tmp_path / "m.onnx")
    with (
        pytest.raises(RunnerError, match=r"^mine: .*died \(exit code 1\): no space left$"),
        SubjectProcess(timed, tmp_path, script("raise SystemExit('no space left')")) as process,
    ):
        process.load(timed, samples)
    assert gone(process.pid)


def test_a_child_that_hangs_is_ended(tmp_path: Path, samples: Path):
    timed = subject(tmp_path / "m.onnx")
    with (
        pytest.raises(RunnerError, match=r"did not answer within 1 s.*: use a smaller batch"),
        SubjectProcess(timed, tmp_path, script("import time; time.sleep(99)"), 1.0) as process,
    ):
        process.load(timed, samples)
    assert gone(process.pid)


def test_leaving_by_an_exception_ends_the_child(tmp_path: Path, samples: Path):
    timed = subject(cnn(tmp_path / "m.onnx"))
    with SubjectProcess(timed, tmp_path) as process:
        process.load(timed, samples)
        process.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
        assert gone(process.pid)


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_stopped_child_does_not_outlive_a_killed_parent(tmp_path: Path, samples: Path):
    cnn(tmp_path / "m.onnx")
    code = f"""
import time
from pathlib import Path
from resnet_deploy.measure.process import SubjectProcess
from tests.support.bench_subjects import subject
timed = subject(Path({str(tmp_path / "m.onnx")!r}))
process = SubjectProcess(timed, Path({str(tmp_path)!r}))
process.load(timed, Path({str(samples)!r}))
print(process.pid, flush=True)
time.sleep(99)
"""
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(script(code), stdout=subprocess.PIPE, text=True, cwd=root) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while not gone(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert gone(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
