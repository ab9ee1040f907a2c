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
        writes: whether reading writes into the folder.
    """

    name: str
    file: str
    beside: Beside = field(default=dict)
    seeds: Callable[[], list[bytes]]
    read: Callable[[Path], object]
    modules: tuple[str, ...]
    writes: bool = False
