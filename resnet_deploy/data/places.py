"""Where bytes come from: a file or folder of this machine, or a URL.

Formats read both by the words of :class:`pathlib.Path`: a
:class:`~resnet_deploy.data.remote.Remote` has those that they need.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit
from urllib.request import url2pathname

from resnet_deploy.data.remote import SCHEMES, Remote
from resnet_deploy.errors import DatasetError
from resnet_deploy.paths import resolved, url_scheme

if TYPE_CHECKING:
    from resnet_deploy.data.archives import Inside

_RANGE = re.compile(r"\{([0-9]{1,18})\.\.([0-9]{1,18})\}")

_MOST_FILES = 100_000
"""That one name with ``{0..9}`` stands for."""


Place: TypeAlias = "Path | Remote | Inside"
"""A file or a folder. ``str`` of it is for people: what is secret in a URL is left out."""


def place_of(given: str | os.PathLike[str]) -> Place:
    """Return the place that a path or a URL names; nothing is looked up.

    Raises:
        DatasetError: a URL of a kind that can't be read, or with a password where none belongs.
    """
    if given == "":  # which Python takes for the folder in which it runs
        raise DatasetError("a name of data is empty: give a path, or a URL")
    text = given if isinstance(given, str) else ""
    kind = url_scheme(text)
    if kind is None:
        return Path(given)
    if kind == "file":
        parts = urlsplit(text)
        if parts.netloc not in ("", "localhost"):
            raise DatasetError(f"{text} is on another machine: write file:///PATH")
        if not parts.path:
            raise DatasetError(f"{text} names no place: write file:///PATH")
        return Path(url2pathname(parts.path))
    if kind not in SCHEMES:
        known = ", ".join(f"{name}://" for name in (*SCHEMES, "file"))
        raise DatasetError(f"{kind}:// can't be read: give a path, or a URL with {known}")
    return Remote.of(text)


def called(place: Place) -> str:
    """Return what to call a folder or a file in a card: the last part of where it really is."""
    return resolved(place).name if isinstance(place, Path) else place.name


def expanded(place: Place) -> tuple[Place, ...]:
    """Return the files that a name with ranges such as ``{000..099}`` stands for, or ``place``.

    Raises:
        DatasetError: a range runs backwards, or stands for more than 100,000 files.
    """
    names = [place.name]
    while (found := _RANGE.search(names[0])) is not None:
        first, last = int(found[1]), int(found[2])
        if last < first or (last - first + 1) * len(names) > _MOST_FILES:
            raise DatasetError(
                f"{place} has a range {found[0]} that is not a range of at most "
                f"{_MOST_FILES:,} files"
            )
        width = len(found[1]) if found[1].startswith("0") else 0
        numbers = [f"{number:0{width}d}" for number in range(first, last + 1)]
        names = [_RANGE.sub(number, name, count=1) for name in names for number in numbers]
    return (place,) if names == [place.name] else tuple(place.parent / name for name in names)
