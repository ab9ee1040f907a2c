"""What is said of a folder of images; :mod:`resnet_deploy.data.trees` finds it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from resnet_deploy.data.names import Names
from resnet_deploy.data.places import Place
from resnet_deploy.visible import visible_line

OF_A_MAC = "__MACOSX"
"""A folder of hidden files that macOS packs into archives."""

_NAMED = 3
"""How many of several files a message names."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What lies below ``root``: relative paths, sorted, with forward slashes; nothing hidden.

    ``others`` are files that are not images, ``unentered`` links to folders that were not followed.
    Stamps of images are their sizes in bytes and ETags, where a server told them.
    """

    root: Place
    images: Names
    others: Names
    unentered: tuple[str, ...] = ()


class Tree(Protocol):
    """What lies in a folder and below; what is hidden is left out everywhere."""

    def check(self, place: str) -> None:
        """Refuse what may not be read.

        Raises:
            DatasetError: ``place`` is a link that leads out of the dataset.
        """

    def folders(self, folder: Place) -> list[Place]:
        """Return the folders in ``folder`` that may be entered, sorted."""

    def holds_images(self, folder: Place) -> bool:
        """Whether an image lies somewhere below."""

    def images_beside(self, folder: Place) -> bool:
        """Whether an image lies directly in ``folder``."""

    def list(self, root: Place) -> Listing:
        """Return what lies below ``root``."""


def is_hidden(name: str) -> bool:
    """Whether a path, or a folder that it lies in, is hidden."""
    return any(part.startswith(".") or part == OF_A_MAC for part in name.split("/"))


def first_few(names: Sequence[str]) -> str:
    """Return the first of ``names`` for a message, which is one line, with dots for the rest."""
    return visible_line(", ".join(names[:_NAMED])) + (", …" if len(names) > _NAMED else "")


def counted(count: int, one: str, several: str = "") -> str:
    """Return ``1 file is`` or ``3 files are``, say; ``several`` is by default ``one`` with an s."""
    return f"{count} {one if count == 1 else several or one + 's'}"
