"""Which files of a folder are images, and which links may be followed to find them.

:class:`Links` looks into the folders of this machine, :class:`Objects` into those of a bucket or a
web server, :class:`Members` into archives. Files are taken one after the other, so that memory does
not grow with their number.

Long because these three say the same of three kinds of folders.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

from resnet_deploy.data.archives import Inside
from resnet_deploy.data.asking import Absent, UnreachableError
from resnet_deploy.data.images import has_image_suffix, is_image
from resnet_deploy.data.listing import OF_A_MAC, Listing, Tree, is_hidden
from resnet_deploy.data.names import NamesBuilder
from resnet_deploy.data.places import Place
from resnet_deploy.data.remote import Remote
from resnet_deploy.errors import DatasetError
from resnet_deploy.visible import visible_line

_MOST_ENTRIES = 10_000


def tree_of(place: Place, *, follow_links: bool = False) -> Tree:
    """Return what lies in a folder, wherever it is."""
    if isinstance(place, Remote):
        return Objects()
    if isinstance(place, Inside):
        return Members()
    return Links(place, follow_links)


@dataclass(frozen=True)
class Links:
    """What may be read: what lies in ``top``, and with ``follow`` all that links in it name.

    Without ``follow`` a link to a folder is not entered, so that links in a circle do no harm.
    """

    top: Path
    follow: bool = False

    def check(self, path: str) -> None:
        """Refuse a link that leads out of ``top``, unless such links are followed.

        Raises:
            DatasetError: ``path`` is one.
        """
        if not self.follow and self._leads_out(path):
            raise DatasetError(
                f"{path} is a link that leads out of the dataset: --follow-links follows such "
                "links, or copy what it points to"
            )

    def folders(self, folder: Place) -> list[Place]:
        """Return the folders in ``folder`` that may be entered, sorted; hidden ones are left out.

        Raises:
            DatasetError: ``folder`` can't be listed, or a link leads out.
        """
        found: list[Place] = []
        for entry in _entries(str(folder)):
            if _is_folder(entry):
                self.check(entry.path)
                if self.follow or not entry.is_symlink():
                    found.append(folder / entry.name)
        return sorted(found, key=lambda place: place.name)

    def holds_images(self, folder: Place) -> bool:
        """Whether an image lies somewhere below; stops at the first, as folders can be large."""
        return any(
            self._counts(entry) for entry in self._walk(str(folder)) if not _is_folder(entry)
        )

    def images_beside(self, folder: Place) -> bool:
        """Whether an image lies directly in ``folder``."""
        return any(self._counts(entry) for entry in _entries(str(folder)) if not _is_folder(entry))

    def list(self, root: Place) -> Listing:
        """Return what lies below ``root``.

        Raises:
            DatasetError: a folder can't be listed, or an image or a folder is a link that leads
                out.
        """
        images, others = NamesBuilder(), NamesBuilder()
        unentered: list[str] = []
        start = len(str(root).rstrip(os.sep)) + 1
        for entry in self._walk(str(root)):
            name = entry.path[start:].replace(os.sep, "/")
            if _is_folder(entry):
                unentered.append(name)
            elif self._counts(entry):
                images.add(name)
            else:
                others.add(name)
        return Listing(
            root=root,
            images=images.done(),
            others=others.done(),
            unentered=tuple(sorted(unentered)),
        )

    def _counts(self, entry: os.DirEntry[str]) -> bool:
        """Whether a file is an image; what a link out names is not looked into for that."""
        if has_image_suffix(entry.name):
            # Whoever opens a pipe waits. A link to nothing is an error to tell, when it is read.
            if not entry.is_symlink():
                return entry.is_file()
            self.check(entry.path)
            return os.path.isfile(entry.path) or not os.path.exists(entry.path)  # noqa: PTH110, PTH113
        if entry.is_symlink() and not self.follow and self._leads_out(entry.path):
            return False
        return is_image(Path(entry.path))

    def _walk(self, root: str) -> Iterator[os.DirEntry[str]]:
        """Yield every file below, and links to folders that are not entered."""
        pending: list[tuple[str, tuple[str, ...]]] = [(root, ())]
        while pending:
            folder, above = pending.pop()
            if self.follow:
                real = os.path.realpath(folder)
                if real in above:
                    continue  # a link in a circle
                above = (*above, real)
            for entry in _entries(folder):
                if not _is_folder(entry):
                    yield entry
                    continue
                if entry.is_symlink():
                    self.check(entry.path)
                    if not self.follow:
                        yield entry
                        continue
                pending.append((entry.path, above))

    def _leads_out(self, path: str) -> bool:
        if not os.path.islink(path):  # noqa: PTH114 - Path.resolve() raises on a link to itself
            return False
        return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.top))


class Objects:
    """What lies in a bucket or on a web server; images are told by the suffixes of their names."""

    def check(self, place: str) -> None:
        """Refuse nothing: there are no links."""

    def folders(self, folder: Place) -> list[Place]:
        """Return the folders in ``folder``, sorted.

        Raises:
            DatasetError: the server does not answer or refuses.
        """
        found = {entry.name for entry in _remote(folder).entries() if entry.is_folder}
        return [folder / name for name in sorted(found) if not is_hidden(name)]

    def holds_images(self, folder: Place) -> bool:
        """Whether an image lies somewhere below; stops at the first."""
        return any(self._counts(entry.name) for entry in _remote(folder).below())

    def images_beside(self, folder: Place) -> bool:
        """Whether an image lies directly in ``folder``."""
        entries = _remote(folder).entries()
        return any(self._counts(entry.name) for entry in entries if not entry.is_folder)

    def list(self, root: Place) -> Listing:
        """Return what lies below ``root``.

        Raises:
            DatasetError: the server does not answer or refuses.
        """
        images, others = NamesBuilder(), NamesBuilder()
        for entry in _remote(root).below():
            if is_hidden(entry.name):
                continue
            if has_image_suffix(entry.name):
                images.add(entry.name, f"{entry.size} {entry.etag}")
            else:
                others.add(entry.name)
        found = images.done()
        for one, other in pairwise(found):
            if one == other:  # pages that overlap; each picture counts once
                raise UnreachableError(
                    f"{root}: the server lists {visible_line(one)} twice: try again, or copy the "
                    "pictures first"
                )
        return Listing(root=root, images=found, others=others.done())

    def _counts(self, name: str) -> bool:
        return has_image_suffix(name) and not is_hidden(name)


class Members:
    """What lies in archives; images are told by the suffixes of their names."""

    def check(self, place: str) -> None:
        """Refuse nothing: links were refused when the archive was opened."""

    def folders(self, folder: Place) -> list[Place]:
        """Return the folders in ``folder``, sorted."""
        return [folder / name for name, is_folder in self._beside(folder) if is_folder]

    def holds_images(self, folder: Place) -> bool:
        """Whether an image lies somewhere below; stops at the first."""
        return any(has_image_suffix(name) for name, _ in self._below(folder))

    def images_beside(self, folder: Place) -> bool:
        """Whether an image lies directly in ``folder``."""
        beside = self._beside(folder)
        return any(has_image_suffix(name) for name, is_folder in beside if not is_folder)

    def list(self, root: Place) -> Listing:
        """Return what lies below ``root``."""
        archive = _inside(root).archive
        images, others = NamesBuilder(), NamesBuilder()
        for name, stamp in self._below(root):
            if has_image_suffix(name):
                shard, offset, size = stamp.split(" ")
                etag = archive.etags[int(shard)]
                images.add(name, f"{size} {etag}@{offset}" if etag else f"{size} ")
            else:
                others.add(name)
        return Listing(root=root, images=images.done(), others=others.done())

    def _below(self, folder: Place) -> Iterator[tuple[str, str]]:
        """Yield the names of members below, and their stamps; hidden ones are left out."""
        inside = _inside(folder)
        prefix = f"{inside.path}/" if inside.path else ""
        index = inside.archive.index
        for name, stamp in index.stamped(index.at_or_behind(prefix)):
            if not name.startswith(prefix):
                return
            if not is_hidden(name[len(prefix) :]):
                yield name[len(prefix) :], stamp

    def _beside(self, folder: Place) -> Iterator[tuple[str, bool]]:
        """Yield what lies directly in a folder, and whether it is one; those are not walked."""
        inside = _inside(folder)
        prefix = f"{inside.path}/" if inside.path else ""
        index = inside.archive.index
        at = index.at_or_behind(prefix)
        while at < len(index) and (name := index[at]).startswith(prefix):
            first, slash, _ = name[len(prefix) :].partition("/")
            if first and not is_hidden(first):
                yield first, bool(slash)
            behind = chr(ord("/") + 1)
            at = index.at_or_behind(f"{prefix}{first}{behind}", at) if slash else at + 1


def _inside(place: Place) -> Inside:
    assert isinstance(place, Inside), "the tree of an archive has folders in it"
    return place


def _remote(place: Place) -> Remote:
    assert isinstance(place, Remote), "the tree of a remote folder has remote folders"
    return place


def files_called(folder: Place, suffix: str) -> tuple[Place, ...]:
    """Return the files directly in ``folder`` whose names end with ``suffix``, sorted.

    None are there if ``folder`` is not. Of a remote one the first 10,000 entries are looked at:
    shards are not that many, and pictures may be millions.

    Raises:
        DatasetError: it can't be listed.
    """
    try:
        if isinstance(folder, Remote):
            few = islice(folder.entries(), _MOST_ENTRIES)
            names = [entry.name for entry in few if not entry.is_folder]
        elif isinstance(folder, Path) and folder.is_dir():
            names = [entry.name for entry in _entries(str(folder)) if entry.name.endswith(suffix)]
            names = [name for name in names if (folder / name).is_file()]
        else:
            return ()
    except Absent:
        return ()
    found = sorted(name for name in names if name.endswith(suffix) and not is_hidden(name))
    return tuple(folder / name for name in found)


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.name != OF_A_MAC:
                    yield entry
    except OSError as error:
        raise DatasetError(f"cannot list {error.filename}: {error.strerror}") from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
