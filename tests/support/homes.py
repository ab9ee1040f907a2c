"""A home and a folder for temporary files of their own: what a program leaves there is seen."""

from __future__ import annotations

import os
from pathlib import Path


def empty_home(folder: Path) -> dict[str, str]:
    """Return this process's environment with its homes in ``folder``, and no word on telemetry."""
    for name in ("home", "temporary"):
        (folder / name).mkdir()
    environment = {
        **os.environ,
        "HOME": str(folder / "home"),
        "XDG_CACHE_HOME": str(folder / "home/.cache"),
        "TMPDIR": str(folder / "temporary"),
    }
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    return environment


def left_in(folder: Path) -> list[str]:
    """Return what programs left in the homes of ``folder``."""
    places = (folder / "home", folder / "temporary")
    return [str(path.relative_to(folder)) for place in places for path in place.rglob("*")]
