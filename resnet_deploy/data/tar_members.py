"""What lies in a tar archive: names, and where the bytes of each begin.

Nothing is unpacked, so a name leads nowhere. Headers are a stranger's: every length in them is
bounded before anything is read. Formats: POSIX.1-2017 (ustar and pax), and GNU's long names,
https://www.gnu.org/software/tar/manual/html_node/Standard.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, NamedTuple

from resnet_deploy.errors import DatasetError

_BLOCK = 512

_LONGEST_NAME = 4096
"""Bytes, as Linux has it."""

_LARGEST_EXTENSION = 1 << 20
"""Bytes of what stands in front of a header to extend it."""

_LONGEST_END = 1 << 20
"""Bytes of zeros that fill the last record of a tape."""

_MOST_EXTENSIONS = 8
"""In front of one header."""

_LINKS = (b"1", b"2")
_EMPTY = (b"3", b"4", b"5", b"6")
_NO_FILES = (b"D", b"N", b"V")
"""Types of entries: hard and symbolic links; what has no content; GNU's lists of folders, old names
and labels of tapes. What is none of them is a file, as POSIX has it."""

_LONG_NAME, _PAX = b"L", (b"x", b"X")
_EXTENSIONS = (_LONG_NAME, b"K", b"g", *_PAX)
"""What stands in front of a header; K is the long name of a link's aim, g is of all that follow."""

_RECORD = re.compile(rb"(\d{1,9}) ([^=]{1,200})=")


class Member(NamedTuple):
    """A file in an archive: ``size`` bytes from ``offset`` on; of a link there is no content."""

    name: str
    offset: int
    size: int
    is_link: bool = False


def tar_members(stream: IO[bytes], size: int, called: str) -> Iterator[Member]:
    """Yield the files and links of an archive of ``size`` bytes, in its order.

    Args:
        stream: can seek; the caller may read members in between.
        size: of the archive, in bytes.
        called: what messages call the archive.

    Raises:
        DatasetError: it is damaged, cut short, or holds sparse files.
    """
    at, number = 0, 0
    while True:
        number += 1
        entry = _entry(stream, at, size, f"{called}: entry {number}", called)
        if entry is None:
            return _check_end(stream, at + _BLOCK, size, called)
        header, name, held, at = entry
        kind = header[156:157]
        if kind not in (*_EMPTY, *_NO_FILES):
            text = _text(_own_name(header) if name is None else name, f"{called}: entry {number}")
            if not text.endswith("/"):  # such a file is a folder of old archives
                yield Member(text, at, held, is_link=kind in _LINKS)
        at += _whole(held)


def _check_end(stream: IO[bytes], at: int, size: int, called: str) -> None:
    """Refuse what stands behind the end, where nobody looks: archives that were joined."""
    stream.seek(at)
    if size - at > _LONGEST_END or any(stream.read(_LONGEST_END)):
        raise DatasetError(
            f"{called} goes on behind its end: was it joined from several? unpack it with tar -i"
        )


def _entry(
    stream: IO[bytes], at: int, size: int, what: str, called: str
) -> tuple[bytes, bytes | None, int, int] | None:
    """Return a header, the name and size of its content, and where that begins; None at the end.

    The name is None unless something in front of the header tells it. ``what`` is what messages
    call the entry.
    """
    name: bytes | None = None
    length: bytes | None = None
    for _ in range(_MOST_EXTENSIONS):
        if at + _BLOCK > size:
            raise _cut_short(called)
        header = _read(stream, at, _BLOCK, called)
        at += _BLOCK
        if not any(header):
            return None
        kind, stated = header[156:157], _number(header[124:136])
        if not _sums_up(header) or stated is None:
            raise DatasetError(f"{what} can't be read: the tar archive is damaged")
        if kind not in _EXTENSIONS:
            held = _held(kind, stated, length, what)
            if at + held > size:
                raise _cut_short(called)
            return header, name, held, at
        if stated > _LARGEST_EXTENSION:
            break
        if at + stated > size:
            raise _cut_short(called)
        content = _read(stream, at, stated, called)
        at += _whole(stated)
        if kind == _LONG_NAME:
            name = content.split(b"\0", 1)[0]
        elif kind in _PAX:
            records = _records(content, what)
            name = records.get(b"path", name)
            length = records.get(b"size", length)
    raise DatasetError(f"{what} has a header that is too long")


def _held(kind: bytes, stated: int, length: bytes | None, what: str) -> int:
    """Return how many bytes of content an entry has."""
    if kind == b"S":
        raise _sparse(what)
    if kind == b"M":
        raise DatasetError(f"{what} began in another archive: join the volumes first")
    if length is not None and (not length.isdigit() or len(length) > 18):
        raise DatasetError(f"{what} has a size that is not a number")
    if kind in _LINKS or kind in _EMPTY:
        return 0
    return stated if length is None else int(length)


def _sparse(what: str) -> DatasetError:
    return DatasetError(f"{what} is a sparse file: pack it as a usual one")


def _cut_short(called: str) -> DatasetError:
    return DatasetError(f"{called} is a tar archive that was cut short: copy it again")


def _read(stream: IO[bytes], at: int, length: int, called: str) -> bytes:
    stream.seek(at)
    data = stream.read(length)
    if len(data) != length:
        raise _cut_short(called)
    return data


def _whole(length: int) -> int:
    """Return ``length`` in whole blocks."""
    return -(-length // _BLOCK) * _BLOCK


def _number(field: bytes) -> int | None:
    """Return a size: octal digits, or GNU's binary one; None if it is neither."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.split(b"\0", 1)[0].strip()
    return int(digits or b"0", 8) if re.fullmatch(rb"[0-7]*", digits) else None


def _sums_up(header: bytes) -> bool:
    """Whether the checksum is right, of bytes or, as some old programs had it, of signed ones."""
    stated = _number(header[148:156])
    rest = header[:148] + b" " * 8 + header[156:]
    return stated in (sum(rest), sum(byte - 256 * (byte > 127) for byte in rest))


def _own_name(header: bytes) -> bytes:
    name = header[:100].split(b"\0", 1)[0]
    prefix = header[345:500].split(b"\0", 1)[0] if header[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _text(name: bytes, what: str) -> str:
    if len(name) > _LONGEST_NAME or b"\0" in name:
        raise DatasetError(f"{what} has a name that no file can have")
    text = name.decode(errors="surrogateescape")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    return "/".join(parts) + "/" * (not parts or text.endswith(("/", "/.")))


def _records(content: bytes, what: str) -> dict[bytes, bytes]:
    """Return what a pax header says: ``LENGTH KEY=VALUE`` and a line feed each."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(content):
        head = _RECORD.match(content, at)
        length = int(head[1]) if head else 0
        end = at + length
        if head is None or end > len(content) or end <= head.end() or content[end - 1] != 10:
            raise DatasetError(f"{what} has a pax header that can't be read")
        if head[2].startswith(b"GNU.sparse."):
            raise _sparse(what)
        found[head[2]] = content[head.end() : end - 1]
        at = end
    return found
