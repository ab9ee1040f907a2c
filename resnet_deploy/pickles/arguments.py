"""The values that opcodes of a pickle carry, read within the bounds of the data.

Source: https://docs.python.org/3/library/pickletools.html, ``pickletools.opcodes``.
"""

from __future__ import annotations

import codecs
import pickle
import struct
from collections.abc import Callable
from typing import Any

from resnet_deploy.pickles.bounds import Damaged, Data

_LONGEST_INTEGER = 1024
"""In bytes; ``str()`` of much longer ones is refused by Python."""


class Reader:
    """Walks over ``data`` from ``position``; what would lie behind the end is damage."""

    def __init__(self, data: Data, position: int = 0) -> None:
        self._data = data
        self.position = position

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes.

        Raises:
            Damaged: there are fewer; nothing was allocated.
        """
        start = self.position
        if not 0 <= count <= len(self._data) - start:
            raise Damaged("cut short")
        self.position = start + count
        return self._data[start : start + count]

    def number(self, count: int) -> int:
        """Return an unsigned integer of ``count`` bytes, little-endian."""
        return int.from_bytes(self.take(count), "little")

    def sized(self, count: int) -> bytes:
        """Return the bytes behind their own number, which takes ``count`` bytes."""
        return self.take(self.number(count))

    def line(self) -> bytes:
        """Return what comes before the next line feed, and step over that.

        Raises:
            Damaged: there is none.
        """
        end = self._data.find(b"\n", self.position)
        if end < 0:
            raise Damaged("cut short")
        text = self._data[self.position : end]
        self.position = end + 1
        return text

    def text_line(self) -> str:
        """Return the next line as text."""
        return _text(self.line())


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _escaped(data: bytes) -> str:
    r"""Return text in which ``\ud83d\ude00`` is one character, and half of one is none."""
    units = data.decode("raw-unicode-escape", "replace").encode("utf-16-le", "surrogatepass")
    return units.decode("utf-16-le", "replace")


def _integer(reader: Reader) -> Any:
    line = reader.line()
    if line in (b"00", b"01"):  # Python 2's False and True
        return line == b"01"
    return int(line[:_LONGEST_INTEGER])


def _long(data: bytes) -> int:
    if len(data) > _LONGEST_INTEGER:
        raise Damaged("an endless integer")
    return int.from_bytes(data, "little", signed=True)


def _quoted(reader: Reader) -> str:
    line = reader.line().strip()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise Damaged("a string without quotes")
    return codecs.escape_decode(line[1:-1])[0].decode("latin-1")


# Python 2's strings are bytes: latin-1 keeps every one of them.
_READ: dict[bytes, Callable[[Reader], Any]] = {
    pickle.NONE: lambda reader: None,
    pickle.NEWTRUE: lambda reader: True,
    pickle.NEWFALSE: lambda reader: False,
    pickle.EMPTY_TUPLE: lambda reader: (),
    pickle.EMPTY_LIST: lambda reader: [],
    pickle.EMPTY_DICT: lambda reader: {},
    pickle.EMPTY_SET: lambda reader: [],
    pickle.INT: _integer,
    pickle.BININT: lambda reader: struct.unpack("<i", reader.take(4))[0],
    pickle.BININT1: lambda reader: reader.number(1),
    pickle.BININT2: lambda reader: reader.number(2),
    pickle.LONG: lambda reader: int(reader.line()[:_LONGEST_INTEGER].rstrip(b"L")),
    pickle.LONG1: lambda reader: _long(reader.sized(1)),
    pickle.LONG4: lambda reader: _long(reader.sized(4)),
    pickle.FLOAT: lambda reader: float(reader.line()),
    pickle.BINFLOAT: lambda reader: struct.unpack(">d", reader.take(8))[0],
    pickle.STRING: _quoted,
    pickle.BINSTRING: lambda reader: reader.sized(4).decode("latin-1"),
    pickle.SHORT_BINSTRING: lambda reader: reader.sized(1).decode("latin-1"),
    pickle.UNICODE: lambda reader: _escaped(reader.line()),
    pickle.BINUNICODE: lambda reader: _text(reader.sized(4)),
    pickle.SHORT_BINUNICODE: lambda reader: _text(reader.sized(1)),
    pickle.BINUNICODE8: lambda reader: _text(reader.sized(8)),
    pickle.BINBYTES: lambda reader: reader.sized(4),
    pickle.SHORT_BINBYTES: lambda reader: reader.sized(1),
    pickle.BINBYTES8: lambda reader: reader.sized(8),
    pickle.BYTEARRAY8: lambda reader: reader.sized(8),
}
VALUES = {opcode[0]: read for opcode, read in _READ.items()}
"""Opcode -> how to read the value that it pushes. Sets are lists: nothing of a file is hashed."""
