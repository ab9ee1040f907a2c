"""Files that a user names: where they are, and what is in those that end.

A pipe never ends, and neither does a device such as ``/dev/zero``.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MOST_TEXT_BYTES = 64 << 20
"""Of JSON, TOML and the like: tables of figures and settings have a thousandth of it."""


def read_plain(path: Path, most: int = MOST_TEXT_BYTES) -> bytes:
    """Return what is in ``path``.

    Raises:
        OSError: it can't be read, is no regular file (or a link to one), or has more than ``most``
            bytes; ``strerror`` says which.
    """
    # Opening a pipe waits for whoever writes into it.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as stream:  # noqa: PTH123 - it is open
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no file", str(path))
        if found.st_size > most:
            raise OSError(errno.EFBIG, f"{most >> 20} MiB are the most", str(path))
        return stream.read()


def resolved(path: Path) -> Path:
    """Return where ``path`` leads, without links; of links in a circle, the first of them.

    ``Path.resolve`` raises RuntimeError there.
    """
    return Path(os.path.realpath(path))
