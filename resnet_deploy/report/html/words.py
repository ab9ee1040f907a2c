"""Numbers and names as the pages write them."""

from __future__ import annotations

import math


def milliseconds(value: float) -> str:
    """Return four significant digits at least, from microseconds to seconds."""
    return f"{value:.3f} ms" if value < 10 else f"{value:,.2f} ms"


def megabytes(count: float) -> str:
    """Return bytes as MB of a million each."""
    return f"{count / 1e6:,.1f} MB" if count < 1e8 else f"{count / 1e6:,.0f} MB"


def decibels(value: float) -> str:
    """Return a ratio in dB; identical outputs have no noise."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "identical" if value > 0 else "nothing left"
    return f"{value:.1f} dB"


def times(value: float) -> str:
    """Return a ratio with its sign of multiplication."""
    sign = "\N{MULTIPLICATION SIGN}"
    return f"{value:.2f}{sign}" if math.isfinite(value) else "unknown"


def percent_tick(share: float) -> str:
    """Return a share as the tick of an axis, with no more digits than it needs."""
    return f"{round(100 * share, 6):g} %"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 image``, ``2 images``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def file_name(path: str) -> str:
    """Return the last part of a path of any system."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2] or path
