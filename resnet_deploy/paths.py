"""Where paths lead."""

from __future__ import annotations

import os
from pathlib import Path


def resolved(path: Path) -> Path:
    """Return where ``path`` leads, without links; of links in a circle, the first of them.

    ``Path.resolve`` raises RuntimeError there.
    """
    return Path(os.path.realpath(path))
