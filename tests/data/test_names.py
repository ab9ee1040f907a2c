"""Sorted names, in memory and on the disk, and how much memory a million of them take."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys

import pytest

from resnet_deploy.data import names as module
from resnet_deploy.data.names import NamesBuilder, names_of
from resnet_deploy.errors import DatasetError

ODD = ["a/b", "a.b", "a", "ä/1", "\udcff.png", "😀", "a\nb", "a\x01", "z" * 5000, "-", "A"]


@pytest.mark.parametrize(("run", "memory", "block"), [(1 << 16, 1 << 20, 1 << 18), (3, 0, 7)])
def test_names_are_sorted_as_python_sorts_text(run, memory, block, monkeypatch):
    monkeypatch.setattr(module, "_RUN", run)
    monkeypatch.setattr(module, "_IN_MEMORY", memory)
    monkeypatch.setattr(module, "_BLOCK", block)
    given = [*ODD, *(str(number) for number in range(100))]
    random.Random(0).shuffle(given)
    builder = NamesBuilder()
    for name in given:
        builder.add(name, f"stamp of {len(name)}")
    names = builder.done()
    wanted = sorted(given)
    assert list(names) == wanted == [names[index] for index in range(len(names))]
    assert names == tuple(wanted) == names[:]
    assert (names[-1], names[2:5]) == (wanted[-1], tuple(wanted[2:5]))
    for name in given:
        place = names.find(name)
        assert place is not None
        assert names.stamp(place) == f"stamp of {len(name)}"
    assert names.find("none") is None
    assert "a" in names
    assert "none" not in names
    again = pickle.loads(pickle.dumps(names))
    assert list(again.stamped()) == list(names.stamped())
    assert names.kept(str.isdigit) == sorted(map(str, range(100)))
    assert names != names.kept(str.isdigit)
    with pytest.raises(IndexError):
        names[len(names)]
    assert list(names_of(())) == []


def test_a_full_disk_is_one_line(monkeypatch):
    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_file", full)
    monkeypatch.setattr(module, "_RUN", 1)
    with pytest.raises(DatasetError, match=r"No space left.*set TMPDIR"):
        names_of(["a"])


_DRIVER = """
import resource, sys
from resnet_deploy.data import remote
from resnet_deploy.data.calibration import calibration_images
from resnet_deploy.data.places import place_of
from resnet_deploy.spec import InputContract

count = int(sys.argv[1])

def listed(place, delimiter):
    prefix = "" if place.name == "set" else f"{place.name}/"
    for number in range(count):
        folder, name = f"{number % 100:08d}/", f"{number:040d}.jpg"
        if delimiter:
            yield remote.Entry(name=folder.rstrip("/"), is_folder=True)
        elif not prefix or prefix == folder:
            yield remote.Entry(name=f"{'' if prefix else folder}{name}", size=number, etag="0" * 32)

remote._listed = listed
remote._status = lambda place, minute: remote.Status(st_size=0, is_folder=True)
images = calibration_images(place_of("s3://bucket/set"), InputContract.for_size(32))
assert len(images.dataset) == count and len(images) == 512, len(images)
images.fingerprint()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""
"""Lists and draws from a bucket of so many pictures; prints its peak memory in MiB."""


def _peak(count: int) -> int:
    command = [sys.executable, "-c", _DRIVER, str(count)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_pictures():
    assert _peak(100_000) - _peak(1_000) < 50
