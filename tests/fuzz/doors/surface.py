"""What a door is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Beside = Callable[[], Mapping[str, bytes]]


@dataclass(frozen=True, kw_only=True)
class Surface:
    """A door that files of strangers come in by.

    Args:
        name: of the door.
        file: the name that an input gets in its folder.
        beside: makes the other files of that folder, by their names below it.
        seeds: makes valid inputs.
        read: does what the program does with the file at a path.
        modules: the modules that read this kind of file, below the package: the lines in them
            that run are what the corpus grows by.
        beyond: functions in them that read nothing, such as those that write the file.
        writes: whether reading writes into the folder.
    """

    name: str
    file: str
    beside: Beside = field(default=dict)
    seeds: Callable[[], list[bytes]]
    read: Callable[[Path], object]
    modules: tuple[str, ...]
    beyond: tuple[str, ...] = ()
    writes: bool = False


def without(files: Mapping[str, bytes], name: str) -> Mapping[str, bytes]:
    """Return ``files`` except for the one called ``name``."""
    return {other: content for other, content in files.items() if other != name}
