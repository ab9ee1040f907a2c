"""The Chromium that pages are looked at with."""

from __future__ import annotations

import shutil
from typing import Final

QUIET: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    # The browser itself looks for updates all the same: nothing is to leave the machine.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
"""Flags of a browser that shows nothing and asks nobody."""

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def installed() -> str | None:
    """Return where one is, None where there is none."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)
