from __future__ import annotations

import importlib.metadata
import logging
import os
from pathlib import Path

import numpy as np
import pytest

from resnet_deploy.quantization.calibrate import CalibrationCache, cache_key
from resnet_deploy.quantization.histogram import ActivationHistograms


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
