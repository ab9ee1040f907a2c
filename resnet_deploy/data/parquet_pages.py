"""The pages of a column in a parquet file: what they claim to be, before any is unpacked.

A column chunk is a row of pages, each behind a header in Thrift's compact protocol that claims how
large the page is once it is unpacked. pyarrow asks for that much memory before it looks at the
page.

https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift and
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

import io
from typing import IO, Any

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_FIXED = {_TRUE: 0, _FALSE: 0, _BYTE: 1, _DOUBLE: 8}
_DEEPEST = 8

_UNPACKED, _PACKED = (2, _I32), (3, _I32)
_DATA, _DICTIONARY, _DATA_V2 = (5, _STRUCT), (7, _STRUCT), (8, _STRUCT)
_COUNT = (1, _I32)
"""Numbers and kinds of fields: of ``PageHeader``, and the first of each kind of page's own."""


class CheckedColumns(io.RawIOBase):
    """A parquet file of which, once its footer is read, only checked column chunks can be read.

    pyarrow reads a column chunk in one piece, and what is not one is refused here: its
    description in the footer is not asked, as some of what may be in it ends pyarrow's process.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self._stream = stream
        self._size = stream.seek(0, io.SEEK_END)
        self._place = 0
        self._left: int | None = None
        self._rows = 0

    def only_columns(self, most: int, rows: int) -> None:
        """Let column chunks alone be read from now on, which together unpack to ``most`` bytes.

        Each has one value for each of so many ``rows``.
        """
        self._left, self._rows = most, rows

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See ``io.IOBase.seek``."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = start + offset
        return self._place

    def tell(self) -> int:
        """Return where the next bytes are read."""
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        """Return the next ``size`` bytes, fewer at the end, or all.

        Raises:
            ValueError: they are no column chunk, or one that is damaged or too large.
        """
        self._stream.seek(self._place)
        found = self._stream.read(-1 if size is None else size)
        if self._left is not None:
            self._left -= unpacked_bytes(found, self._left, self._rows)
        self._place += len(found)
        return found

    def close(self) -> None:
        """Close the stream, too."""
        if not self.closed:
            self._stream.close()
        super().close()


def unpacked_bytes(chunk: bytes, most: int, rows: int) -> int:
    """Return the bytes that the pages of a column chunk claim to unpack to, ``most`` at most.

    They have at most ``rows`` values, and so has the dictionary.

    Raises:
        ValueError: a header is damaged, or claims what can't be.
    """
    pages = _Compact(chunk)
    total = values = 0
    while not pages.at_end:
        header = pages.struct()
        packed, unpacked = header.get(_PACKED), header.get(_UNPACKED)
        if packed is None or unpacked is None or packed < 0 or unpacked < 0:
            raise ValueError("a page does not say how large it is")
        total += unpacked
        if total > most:
            raise ValueError(f"its pages claim to unpack to {total} bytes, more than is read")
        # pyarrow makes room for as many values as a page claims, before it looks for them.
        values += sum(header.get(kind, {}).get(_COUNT, 0) for kind in (_DATA, _DATA_V2))
        if values > rows or header.get(_DICTIONARY, {}).get(_COUNT, 0) > min(rows, unpacked):
            raise ValueError(f"its pages claim more values than there are rows, {rows}")
        pages.skip(packed)
    return total


class _Compact:
    """Reads structs of Thrift's compact protocol, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    @property
    def at_end(self) -> bool:
        """Whether nothing is left."""
        return self._place == len(self._data)

    def skip(self, size: int) -> None:
        """Leave ``size`` bytes out.

        Raises:
            ValueError: there are not so many.
        """
        self._place += size
        if size < 0 or self._place > len(self._data):
            raise ValueError("a page ends behind its column")

    def struct(self, depth: int = 0) -> dict[tuple[int, int], Any]:
        """Return the 32-bit numbers and the structs in a struct, by number and kind of field.

        Raises:
            ValueError: it is damaged, or one field comes twice, which libraries read differently.
        """
        found: dict[tuple[int, int], Any] = {}
        number = 0
        while head := self._byte():
            kind = head & 15
            number = number + (head >> 4) if head >> 4 else self._number(16)
            value = self._value(kind, depth)
            if any(known == number for known, _ in found):
                raise ValueError("a page header has a field twice")
            if kind in (_I32, _STRUCT):
                found[number, kind] = value
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError("a page header is nested too deeply")
        if kind in _FIXED:
            return self.skip(_FIXED[kind])
        if kind in (_I16, _I32, _I64):
            return self._number({_I16: 16, _I32: 32, _I64: 64}[kind])
        if kind == _BINARY:
            return self.skip(self._varint())
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET):
            head = self._byte()
            count = self._varint() if head >> 4 == 15 else head >> 4
            return self._elements(count, (head & 15,), depth)
        if kind == _MAP:
            count = self._varint()
            kinds = self._byte() if count else 0
            return self._elements(count, (kinds >> 4, kinds & 15), depth)
        raise ValueError(f"a page header has a field of the unknown kind {kind}")

    def _elements(self, count: int, kinds: tuple[int, ...], depth: int) -> None:
        if count > len(self._data) - self._place:
            raise ValueError("a page header has more elements than bytes")
        for _ in range(count):
            for kind in kinds:
                # Alone, and not as a field, a truth value has a byte of its own.
                self._value(_BYTE if kind in (_TRUE, _FALSE) else kind, depth + 1)

    def _number(self, bits: int) -> int:
        value = self._varint()
        signed = value >> 1 ^ -(value & 1)
        if not -(1 << bits - 1) <= signed < 1 << bits - 1:
            raise ValueError(f"a number in a page header has more than {bits} bits")
        return signed

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("a number in a page header has more than 64 bits")

    def _byte(self) -> int:
        if self._place >= len(self._data):
            raise ValueError("a page header ends behind its column")
        self._place += 1
        return self._data[self._place - 1]
