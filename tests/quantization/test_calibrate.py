"""Calibration gives the same histograms however it is run, stopped or spread."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet_deploy.errors import DatasetError, RunnerError
from resnet_deploy.quantization.calibrate import CalibrationCache, observe
from resnet_deploy.quantization.histogram import ActivationHistograms, Histogram
from tests.support.calibration import TENSORS, calibration, model
from tests.support.graphs import noise


def state(histograms: dict[str, Histogram]) -> bytes:
    return ActivationHistograms(histograms).to_bytes()


def whole() -> bytes:
    images = calibration()
    return state(observe(model(), TENSORS, images, images=len(images)))


def test_threads_workers_order_and_batches_do_not_matter() -> None:
    expected = whole()
    images = calibration()
    everything = np.concatenate(list(images))
    backwards = [everything[start : start + 10][::-1] for start in range(40, -10, -10)]
    for threads in (1, 3):
        assert state(observe(model(), TENSORS, images, images=45, threads=threads)) == expected
    assert state(observe(model(), TENSORS, backwards, images=45)) == expected
    assert state(observe(model("4"), TENSORS, images, images=45)) == expected
    assert state(observe(model(), TENSORS, images, images=45, threads=4, workers=3)) == expected


def test_the_model_stays_as_it_was() -> None:
    given = model()
    before = given.SerializeToString(deterministic=True)
    observe(given, TENSORS, [noise(2, 3, 48, 48)], images=2)
    assert given.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_values_and_shapes_are_one_line(workers: int) -> None:
    bad = np.full((1, 3, 48, 48), np.nan, np.float32)
    with pytest.raises(DatasetError, match="activation x is NaN or infinite on a calibration"):
        observe(model(), TENSORS, [noise(8, 3, 48, 48), bad], images=9, workers=workers)
    with pytest.raises(RunnerError, match=r"can't run the model on \[\d+, 4, 48, 48\]") as caught:
        observe(model(), TENSORS, [noise(8, 4, 48, 48)], images=8, workers=workers)
    assert "\n" not in str(caught.value)
    with pytest.raises(RunnerError, match="no tensor 'nowhere'"):
        observe(model(), ["nowhere"], [noise(8, 3, 48, 48)], images=8, workers=workers)


class Counting:
    """A progress that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def __call__(self, stage: str, done: int, total: int) -> None:
        assert stage == "calibrating"
        self.told.append((done, total))


def test_a_finished_run_is_not_repeated(tmp_path: Path) -> None:
    cache = CalibrationCache(folder=tmp_path, worthwhile_seconds=0)
    images, expected = calibration(), whole()
    progress = Counting()
    for _ in range(2):
        found = observe(model(), TENSORS, images, images=45, cache=cache, progress=progress)
        assert state(found) == expected
    assert progress.told == [*((done, 45) for done in range(7, 45, 7)), (45, 45), (45, 45)]
    other = calibration(seed=1)
    assert state(observe(model(), TENSORS, other, images=45, cache=cache)) != expected
    assert len(list(tmp_path.iterdir())) == 2


def test_short_runs_are_not_kept(tmp_path: Path) -> None:
    observe(
        model(), TENSORS, calibration(), images=45, cache=CalibrationCache(folder=tmp_path / "new")
    )
    assert not (tmp_path / "new").exists()


class Stopping:
    """Stops the run, as Ctrl-C does, when enough is done."""

    def __init__(self, after: int) -> None:
        self.after = after

    def __call__(self, stage: str, done: int, total: int) -> None:
        if done >= self.after:
            raise KeyboardInterrupt


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path, workers: int) -> None:
    cache = CalibrationCache(folder=tmp_path, checkpoint_seconds=0)
    images, expected = calibration(), whole()
    for after in (14, 30):
        with pytest.raises(KeyboardInterrupt):
            observe(
                model(),
                TENSORS,
                images,
                images=45,
                workers=workers,
                cache=cache,
                progress=Stopping(after),
            )
    progress = Counting()
    found = observe(model(), TENSORS, images, images=45, cache=cache, progress=progress)
    assert state(found) == expected
    assert progress.told[0][0] >= 21
    finished = Counting()
    observe(model(), TENSORS, images, images=45, cache=cache, progress=finished)
    assert finished.told == [(45, 45)]


SLOW_RUN = """
import sys, time
from pathlib import Path
from resnet_deploy.quantization.calibrate import observe
from resnet_deploy.quantization.calibrate import CalibrationCache
from tests.support.calibration import TENSORS, calibration, model

def progress(stage, done, total):
    print(done, flush=True)
    time.sleep(0.2)

cache = CalibrationCache(folder=Path(sys.argv[1]), checkpoint_seconds=0)
observe(model(), TENSORS, calibration(), images=45, cache=cache, workers=int(sys.argv[2]),
        progress=progress)
"""


def children(process: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(process).children(recursive=True)]


def test_a_killed_run_goes_on_where_it_was_and_leaves_no_worker(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SLOW_RUN, str(tmp_path), "2"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        lines = (process.stdout.readline() for _ in range(3))
        assert [int(line) for line in lines] == [7, 14, 21]
        workers = children(process.pid)
        process.send_signal(signal.SIGKILL)
    assert workers
    assert gone(workers)

    cache, progress = CalibrationCache(folder=tmp_path), Counting()
    images = calibration()
    found = observe(model(), TENSORS, images, images=45, cache=cache, progress=progress)
    assert state(found) == whole()
    assert progress.told[0][0] in (14, 21)


def gone(processes: list[int]) -> bool:
    def alive() -> Iterator[Any]:
        for process in processes:
            try:
                os.kill(process, 0)
                yield process
            except ProcessLookupError:
                continue

    end = time.monotonic() + 20
    while time.monotonic() < end and list(alive()):
        time.sleep(0.05)
    return not list(alive())
