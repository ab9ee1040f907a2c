"""malloc, told to keep what is freed."""

import platform
import subprocess
import sys

import pytest

from resnet_deploy.training.memory import keep_freed_memory

_FAULTS = """
import resource
import numpy as np
from resnet_deploy.training.memory import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

assert keep_freed_memory()
for megabytes in (8, 64):
    np.ones(megabytes * 2**20, np.uint8)
before = faults()
for megabytes in (8, 64, 8, 64):
    np.ones(megabytes * 2**20, np.uint8)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is told")
def test_arrays_of_a_size_that_was_freed_touch_no_new_page() -> None:
    command = [sys.executable, "-c", _FAULTS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100  # 36,864 pages of 4 KB without it


def test_elsewhere_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: None) -> object:
        raise TypeError("a library's name")

    monkeypatch.setattr("ctypes.CDLL", none)
    assert keep_freed_memory() is False
