"""Numbers and names as reports write them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from resnet_deploy.results.closeness import short_of_one


def ms(value: float) -> str:
    """Return four significant digits at least, from microseconds to seconds."""
    return f"{value:.3f}" if value < 10 else f"{value:.2f}"


def milliseconds(value: float) -> str:
    """Return milliseconds with their unit."""
    return f"{ms(value)} ms"


def megabytes(count: float) -> str:
    """Return bytes as MB of a million each."""
    return f"{count / 1e6:,.1f} MB" if count < 1e8 else f"{count / 1e6:,.0f} MB"


def span_of_time(seconds: tuple[float, float]) -> str:
    """Return an estimate from the least to the most, as ``10 s to 2 min``: no digit too many."""
    least, most = map(_rounded_time, seconds)
    return f"up to {most}" if seconds[0] < 1 else least if least == most else f"{least} to {most}"


def _rounded_time(seconds: float) -> str:
    if seconds < 1:
        return "1 s"
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{float(f'{seconds / size:.2g}'):g} {unit}"
    return f"{float(f'{seconds:.2g}'):g} s"


def decibels(value: float) -> str:
    """Return a ratio in dB: infinite without noise; minus infinite and NaN are the worst."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "identical" if value > 0 else "nothing left"
    return f"{value:.1f} dB"


def times(value: float) -> str:
    """Return a ratio of times."""
    return f"{value:.2f}x" if math.isfinite(value) else "unknown"


def whole(count: float) -> str:
    """Return a count with separators of thousands."""
    return f"{count:,.0f}"


def percent(share: float) -> str:
    """Return a share as a percentage with two decimals, never rounded up to all."""
    text = f"{share:.2%}"
    return "99.99%" if text == "100.00%" and share < 1 else text


def tenths(share: float) -> str:
    """Return a share as a percentage with one decimal, never rounded up to all."""
    return short_of_one(share, "1%")


def cosine(value: float) -> str:
    """Return a cosine with five decimals, or more where they would round up to 1."""
    return short_of_one(value, "5f")


def points(share: float) -> str:
    """Return a signed share in percentage points with two decimals."""
    return signed("{:+.2f}")(100 * share)


def small_percent(value: float) -> str:
    """Return a share with two digits that count, never rounded to zero."""
    return f"{value:.2%}" if value >= 0.01 or value == 0 else f"{value * 100:.2g}%"


def signed(form: str) -> Callable[[float], str]:
    """Return what writes values in a ``form`` with a sign; what rounds to zero has none."""

    def write(value: float) -> str:
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "\N{INFINITY}" if value > 0 else "nothing left"
        text = form.format(value)
        text = text if any(digit in "123456789" for digit in text) else text.lstrip("+-")
        return text.replace("-", "\N{MINUS SIGN}")

    return write


def percent_tick(share: float) -> str:
    """Return a share as the tick of an axis, with no more digits than it needs."""
    return f"{round(100 * share, 6):g} %"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 image``, ``2 images``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def some(names: tuple[str, ...], most: int) -> str:
    """Return the first ``most`` names, and how many more there are."""
    hidden = len(names) - most
    return ", ".join(names[:most]) + (f" and {hidden:,} more" if hidden > 0 else "")


def versions(packages: Mapping[str, str]) -> str:
    """Return packages with their versions, in one line."""
    return ", ".join(f"{name} {version}" for name, version in packages.items())


def file_name(path: str) -> str:
    """Return the last part of a path of any system."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2] or path
