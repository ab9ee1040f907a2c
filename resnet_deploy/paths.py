"""Where paths lead, and what is none but a URL."""

from __future__ import annotations

import os
import re
from pathlib import Path

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


def resolved(path: Path) -> Path:
    """Return where ``path`` leads, without links; of links in a circle, the first of them.

    ``Path.resolve`` raises RuntimeError there.
    """
    return Path(os.path.realpath(path))


def url_scheme(text: str) -> str | None:
    """Return ``s3`` of ``s3://bucket/folder``, in lower case, and None of what is not a URL."""
    found = _URL.match(text)
    return found and found[1].lower()
