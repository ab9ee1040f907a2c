"""Memory that is freed stays in the process, for what is asked for next."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_ALL = 2**31 - 1
_LARGEST = 2**25
"""What glibc raises its threshold to by itself, at most; whole models are larger."""


def keep_freed_memory() -> None:
    """Ask glibc to keep freed memory, except for huge blocks; another C library does as it does.

    Large arrays come and go. Each time the system takes their pages away and gives others, filled
    with zeros: two thirds of the page faults of an export.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return
    mallopt(_M_TRIM_THRESHOLD, _ALL)
    mallopt(_M_MMAP_THRESHOLD, _LARGEST)
