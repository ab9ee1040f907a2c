"""Tar archives as folders: members are read where they lie, also in a part of a remote file."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Literal

from resnet_deploy.data.asking import UnreachableError
from resnet_deploy.data.names import Names, NamesBuilder
from resnet_deploy.data.remote import Remote, Status
from resnet_deploy.errors import DatasetError
from resnet_deploy.visible import visible_line

if TYPE_CHECKING:
    from resnet_deploy.data.places import Place

_LARGEST = 1 << 30
"""Bytes of a member that is read."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Archive:
    """Some tar archives and their members: the stamp of a name says ``SHARD OFFSET SIZE``.

    ``etags`` are those of the archives, empty where there are none.
    """

    name: str
    shards: tuple[Place, ...]
    etags: tuple[str, ...]
    index: Names

    def where(self, place: int) -> tuple[int, int, int]:
        """Return the number of the archive, the offset and the size of a member."""
        shard, offset, size = self.index.stamp(place).split(" ")
        return int(shard), int(offset), int(size)

    def read(self, place: int) -> bytes:
        """Return the bytes of a member.

        Raises:
            DatasetError: they can't be read, or are more than a gibibyte.
        """
        number, offset, size = self.where(place)
        shard = self.shards[number]
        if size > _LARGEST:
            name = visible_line(self.index[place])
            raise DatasetError(f"{shard}: {name} has more than {_LARGEST >> 20} MiB")
        if isinstance(shard, Remote):
            return shard.read(offset, offset + size)
        try:
            with shard.open("rb") as stream:
                stream.seek(offset)
                return stream.read(size)
        except OSError as error:
            raise UnreachableError(f"cannot read {shard}: {error.strerror}") from error


@dataclass(frozen=True)
class Inside:
    """A file or a folder in an archive, by the words of :class:`pathlib.Path`."""

    archive: Archive
    path: str = ""

    def __str__(self) -> str:
        path = visible_line(self.path)  # unlike a folder's, it is a stranger's from its first part
        return f"{self.archive.name}/{path}" if path else self.archive.name

    def __truediv__(self, name: str, /) -> Inside:
        return Inside(self.archive, f"{self.path}/{name}" if self.path else name)

    def holding(self, names: Iterable[str]) -> Inside:
        """Return the same folder with the files ``names`` alone, to be sent elsewhere."""
        index = NamesBuilder()
        for name in names:
            path = (self / name).path
            place = self.archive.index.find(path)
            if place is not None:
                index.add(path, self.archive.index.stamp(place))
        shards = tuple(
            shard.absolute() if isinstance(shard, Path) else shard for shard in self.archive.shards
        )
        return Inside(replace(self.archive, shards=shards, index=index.done()), self.path)

    @property
    def name(self) -> str:
        """The last part; of the whole that of the archive."""
        return self.path.rpartition("/")[2] or self.archive.name

    @property
    def suffix(self) -> str:
        """Of :attr:`name`, with its dot."""
        return PurePosixPath(self.name).suffix

    @property
    def stem(self) -> str:
        """Of :attr:`name`, without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def parent(self) -> Inside:
        """The folder that this lies in; of the whole, itself."""
        return Inside(self.archive, self.path.rpartition("/")[0])

    @property
    def parents(self) -> Sequence[Inside]:
        """The folders above, the nearest first."""
        found = [self]
        while found[-1].path:
            found.append(found[-1].parent)
        return found[1:]

    def exists(self) -> bool:
        """Whether a file is there, or files lie below."""
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        """Whether it is a member."""
        return self._place is not None

    def is_dir(self) -> bool:
        """Whether members lie below."""
        start = self.archive.index.at_or_behind(f"{self.path}/" if self.path else "")
        names = self.archive.index
        return start < len(names) and names[start].startswith(f"{self.path}/" if self.path else "")

    def stat(self) -> Status:
        """Return the size of a member, 0 of a folder."""
        place = self._place
        return Status(0 if place is None else self.archive.where(place)[2])

    def read_bytes(self) -> bytes:
        """Return the bytes of a member.

        Raises:
            DatasetError: there is none of this name, or it can't be read.
        """
        place = self._place
        if place is None:
            raise DatasetError(f"{self} does not exist")
        return self.archive.read(place)

    def open(self, mode: Literal["rb"] = "rb", /) -> IO[bytes]:
        """Return a stream of the bytes of a member."""
        del mode  # nothing is ever written
        return io.BytesIO(self.read_bytes())

    @property
    def _place(self) -> int | None:
        return self.archive.index.find(self.path)


def is_tar(path: Place) -> bool:
    """Whether a file is a tar archive, by its name or by what is inside; a packed one is none."""
    if path.suffix.lower() == ".tar":
        return True
    with path.open("rb") as stream:
        stream.seek(257)
        return stream.read(5) == b"ustar"
