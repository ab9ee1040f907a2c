"""Memory between two steps: kept by the process, instead of given back and asked for again."""

from __future__ import annotations

import ctypes

# Numbers of glibc's malloc.h.
_TRIM_THRESHOLD = -1
_MMAP_MAX = -4
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let malloc keep what is freed, in the whole process; return whether that is possible here.

    A step needs tensors of the same sizes as the step before. glibc gives large ones back to the
    system when they are freed, so each new one begins with pages that the system fills with
    zeros at the first touch: up to a fifth of a step's time. Kept, they cost up to a tenth more
    memory. Off glibc nothing is changed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False  # musl and macOS have no mallopt, Windows has no CDLL(None)
    kept: int = mallopt(_TRIM_THRESHOLD, _NEVER)
    heap_only: int = mallopt(_MMAP_MAX, 0)
    return kept == heap_only == 1
