"""What the processor is, and how much of it this process may use."""

from __future__ import annotations

import os


def default_threads() -> int:
    """Return the number of physical cores that this process may use, at least 1."""
    return len(os.sched_getaffinity(0))
