"""Calibration gives the same histograms however it is run, stopped or spread."""

from __future__ import annotations

import importlib.metadata
import logging
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
from resnet_deploy.quantization.calibrate import CalibrationCache, cache_key, observe
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
from resnet_deploy.quantization.calibrate import CalibrationCache, observe
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


def histograms(images: int = 3) -> ActivationHistograms:
    found = ActivationHistograms.of(["a"])
    found.histograms["a"].add(np.arange(5, dtype=np.float32))
    found.images = images
    return found


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.npz"))


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    cache = CalibrationCache(folder=tmp_path / "deep/folder")
    assert cache.load("key", ["a"], 3) is None
    cache.save("key", histograms())
    found = cache.load("key", ["a"], 3)
    assert found is not None
    assert (found.images, found.histograms["a"].high) == (3, 4.0)


@pytest.mark.parametrize(("tensors", "images"), [(["b"], 3), (["a", "b"], 3), (["a"], 2)])
def test_what_does_not_fit_is_not_used(tmp_path: Path, tensors: list[str], images: int) -> None:
    cache = CalibrationCache(folder=tmp_path)
    cache.save("key", histograms())
    assert cache.load("key", tensors, images) is None


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"PK\x03\x04 broken"])
def test_a_damaged_entry_is_ignored_and_replaced(tmp_path: Path, damage: bytes) -> None:
    cache = CalibrationCache(folder=tmp_path)
    cache.save("key", histograms())
    entries(tmp_path)[0].write_bytes(damage)
    assert cache.load("key", ["a"], 3) is None
    cache.save("key", histograms())
    assert cache.load("key", ["a"], 3) is not None


def test_a_full_disk_is_only_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # A command with -q that ran before in this process leaves the log at errors only.
    caplog.set_level(logging.WARNING, logger="resnet_deploy")
    (tmp_path / "file").touch()
    CalibrationCache(folder=tmp_path / "file/folder").save("key", histograms())
    assert "goes on without its cache" in caplog.text
    caplog.clear()

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    CalibrationCache(folder=tmp_path).save("key", histograms())
    assert "No space left on device" in caplog.text
    assert entries(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 1


def test_the_longest_unused_entries_go_first(tmp_path: Path) -> None:
    size = len(histograms().to_bytes())
    cache = CalibrationCache(folder=tmp_path)
    other = tmp_path / "not-ours.npz"
    other.touch()
    for age, key in enumerate(("new", "used", "old")):
        cache.save(key, histograms())
        stamp = 1_000_000_000 - age
        os.utime(tmp_path / f"{key}.calibration.npz", (stamp, stamp))
    assert cache.load("used", ["a"], 3) is not None
    CalibrationCache(folder=tmp_path, most_bytes=int(2.5 * size)).save("newest", histograms())
    kept = {path.name.partition(".")[0] for path in entries(tmp_path)}
    assert kept == {"not-ours", "newest", "used"}


def test_entries_of_a_clock_that_was_set_back_do_not_stay_for_ever(tmp_path: Path) -> None:
    size = len(histograms().to_bytes())
    cache = CalibrationCache(folder=tmp_path, most_bytes=int(2.5 * size))
    for key in ("future", "later"):
        cache.save(key, histograms())
        os.utime(tmp_path / f"{key}.calibration.npz", (4_000_000_000, 4_000_000_000))
    for key in ("one", "other"):
        cache.save(key, histograms())
    assert {path.name.partition(".")[0] for path in entries(tmp_path)} == {"one", "other"}


def test_the_key_names_model_tensors_data_and_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {
        cache_key(b"model", ["a"], "data"),
        cache_key(b"other", ["a"], "data"),
        cache_key(b"model", ["a", "b"], "data"),
        cache_key(b"model", ["a"], "more"),
    }
    assert cache_key(b"model", ["a"], "data") in keys
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.9")
    keys.add(cache_key(b"model", ["a"], "data"))
    assert len(keys) == 5
