"""Memory that is freed stays in the process, for what is asked for next."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_ALL, _LARGEST = 2**31 - 1, 2**30
_LARGEST_BEFORE = 2**25
"""What glibc allowed before 2.36."""


def keep_freed_memory() -> None:
    """Ask glibc not to return freed memory to the system; any other C library does as it does.

    Large arrays and copies of models come and go. Each time the system takes their pages away and
    gives others, filled with zeros: a third of what an export makes the kernel do, and a twentieth
    of its time.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return
    mallopt(_M_TRIM_THRESHOLD, _ALL)
    _ = mallopt(_M_MMAP_THRESHOLD, _LARGEST) or mallopt(_M_MMAP_THRESHOLD, _LARGEST_BEFORE)
