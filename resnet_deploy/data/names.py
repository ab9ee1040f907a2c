"""Millions of names in order, without a Python string for each.

Names are sorted in runs that fit in memory; what is more goes to a temporary file, where the runs
are merged. Of each name eight bytes and itself are kept: in memory if they are few, else in
temporary files that go with the process, however it ends.
"""

from __future__ import annotations

import bisect
import heapq
import struct
import tempfile
import threading
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any, overload

from resnet_deploy.errors import DatasetError

_RUN = 1 << 16
"""Names that are sorted at once: some 10 MB."""

_IN_MEMORY = 8 << 20
"""Bytes up to which a list is kept in memory."""

_BLOCK = 1 << 18
"""Bytes that are read at once where all names are wanted."""

_LENGTH = struct.Struct("<I")
_PLACE = struct.Struct("<Q")


class Names(Sequence[str]):
    """Sorted names, each with a stamp: a text that says more of it, such as its size.

    :class:`NamesBuilder` makes them. Several threads may read at once.
    """

    def __init__(self, records: IO[bytes], ends: IO[bytes], count: int) -> None:
        self._records = records
        self._ends = ends
        self._count = count
        self._lock = threading.Lock()
        weakref.finalize(self, _close, records, ends)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self[place] for place in range(*index.indices(self._count)))
        return self._record(index)[0]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.stamped())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(
            one == two for one, two in zip(self, other, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]  # it is a list of any length

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (tuple(self.stamped()),)

    def stamp(self, index: int) -> str:
        """Return what is noted of the name at ``index``."""
        return self._record(index)[1]

    def stamped(self, begin: int = 0) -> Iterator[tuple[str, str]]:
        """Yield every name with its stamp, in order, from place ``begin`` on."""
        start = self._read_ends(begin - 1, 1)[0] if 0 < begin <= self._count else 0
        for first in range(begin, self._count, _RUN):
            ends = self._read_ends(first, min(_RUN, self._count - first))
            at = 0
            while at < len(ends):
                # As many whole records as fit in a block, and one at least.
                last = max(at + 1, bisect.bisect_right(ends, start + _BLOCK, at))
                block = self._read(self._records, start, ends[last - 1])
                base = start
                for end in ends[at:last]:
                    yield _parted(block[start - base : end - base])
                    start = end
                at = last

    def kept(self, wanted: Callable[[str], bool]) -> Names:
        """Return those that ``wanted`` says yes to."""
        builder = NamesBuilder()
        for name, stamp in self.stamped():
            if wanted(name):
                builder.add(name, stamp)
        return builder.done()

    def at_or_behind(self, name: str, begin: int = 0) -> int:
        """Return the place of the first that is ``name`` or comes behind it, from ``begin`` on."""
        return bisect.bisect_left(self, name, begin)

    def find(self, name: str) -> int | None:
        """Return the place of ``name``, or None."""
        place = self.at_or_behind(name)
        return place if place < len(self) and self[place] == name else None

    def _record(self, index: int) -> tuple[str, str]:
        place = index + self._count if index < 0 else index
        if not 0 <= place < self._count:
            raise IndexError(index)
        if place:
            start, end = self._read_ends(place - 1, 2)
        else:
            start, end = 0, self._read_ends(0, 1)[0]
        return _parted(self._read(self._records, start, end))

    def _read_ends(self, first: int, count: int) -> array[int]:
        data = self._read(self._ends, first * _PLACE.size, (first + count) * _PLACE.size)
        return array("Q", data)

    def _read(self, file: IO[bytes], start: int, end: int) -> bytes:
        with self._lock:
            file.seek(start)
            return file.read(end - start)


class NamesBuilder:
    """Takes names in any order; :meth:`done` gives them sorted."""

    def __init__(self) -> None:
        self._run: list[bytes] = []
        self._spilled: IO[bytes] | None = None
        self._runs: list[tuple[int, int]] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, name: str, stamp: str = "") -> None:
        """Note ``name``; neither it nor ``stamp`` has a NUL.

        Raises:
            DatasetError: there is no room in the temporary folder.
        """
        self._run.append(f"{name}\0{stamp}".encode(errors="surrogatepass"))
        self._count += 1
        if len(self._run) >= _RUN:
            self._spill()

    def done(self) -> Names:
        """Return what was added, sorted as Python sorts text.

        Raises:
            DatasetError: there is no room in the temporary folder.
        """
        self._run.sort()
        runs: list[Iterator[bytes]] = [iter(self._run)]
        runs += [self._spilled_run(*ends) for ends in self._runs]
        records, ends = _file(), _file()
        try:
            end, noted = 0, array("Q")
            for record in heapq.merge(*runs) if len(runs) > 1 else runs[0]:
                records.write(record)
                end += len(record)
                noted.append(end)
                if len(noted) >= _RUN:
                    ends.write(noted.tobytes())
                    del noted[:]
            ends.write(noted.tobytes())
        except OSError as error:
            raise _no_room(error) from error
        if self._spilled is not None:
            self._spilled.close()
        return Names(records, ends, self._count)

    def _spill(self) -> None:
        self._run.sort()
        try:
            if self._spilled is None:
                self._spilled = _file()
            begin = self._spilled.seek(0, 2)
            for record in self._run:
                self._spilled.write(_LENGTH.pack(len(record)) + record)
            self._runs.append((begin, self._spilled.tell()))
        except OSError as error:
            raise _no_room(error) from error
        self._run = []

    def _spilled_run(self, at: int, end: int) -> Iterator[bytes]:
        assert self._spilled is not None
        block = b""
        while at < end or block:
            self._spilled.seek(at)
            more = self._spilled.read(min(_BLOCK, end - at))
            at += len(more)
            block += more
            used = 0
            while used + _LENGTH.size <= len(block):
                (size,) = _LENGTH.unpack_from(block, used)
                if used + _LENGTH.size + size > len(block):
                    break
                yield block[used + _LENGTH.size : used + _LENGTH.size + size]
                used += _LENGTH.size + size
            block = block[used:]


def names_of(given: Iterable[str]) -> Names:
    """Return ``given``, sorted."""
    builder = NamesBuilder()
    for name in given:
        builder.add(name)
    return builder.done()


def _close(*files: IO[bytes]) -> None:
    for file in files:
        file.close()


def _again(records: Sequence[tuple[str, str]]) -> Names:
    builder = NamesBuilder()
    for name, stamp in records:
        builder.add(name, stamp)
    return builder.done()


def _parted(record: bytes) -> tuple[str, str]:
    name, _, stamp = record.decode(errors="surrogatepass").partition("\0")
    return name, stamp


def _file() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)


def _no_room(error: OSError) -> DatasetError:
    folder = tempfile.gettempdir()
    return DatasetError(
        f"cannot keep the names of the images in {folder}: {error.strerror}; set TMPDIR to a "
        "folder with room"
    )
