"""Seeds of parquet files: columns of every kind, several row groups, and odd metadata."""

from __future__ import annotations

import io
import itertools
import json
from typing import Any

from tests.fuzz.doors.picture import picture

_NAMES = json.dumps(
    {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
)
_LARGE = 2 << 30
"""Bytes, more than are read at once."""


def tables() -> list[bytes]:
    """Return files that are read, and one for each reason to refuse one."""
    import pyarrow as pa

    png = picture("PNG")
    named, one = {"huggingface": _NAMES}, {"image": [png], "label": [1]}
    return [
        _written(
            pa.table(
                {"image": [{"bytes": png, "path": "a.png"}] * 2, "label": [0, 1]}, metadata=named
            )
        ),
        *map(
            _written,
            (
                pa.table({"jpg": [png], "class": ["cat"]}),
                pa.table({"image": [{"bytes": None, "path": "a.png"}], "label": [5]}),
                pa.table({"image": [b"no picture"] * 2, "label": [[1], None]}),
                pa.table({"other": [1]}),
                pa.table({"image": pa.array([], pa.binary())}),
                pa.table({"image": [png], "label": [7]}, metadata=named),
                pa.table({"image": pa.array([png] * 2, pa.large_binary())}),
                pa.table({"content": [png] * 2, "y": [-1, None]}),
                pa.table(one, metadata={"huggingface": '{"info": 1, "info": 2}'}),
                pa.table(one, metadata={"huggingface": '{"info": {"features": []}}'}),
                pa.table(one, metadata={"huggingface": _NAMES.replace('["cat", "dog"]', "3")}),
            ),
        ),
        _written(pa.table({"image": [png] * 6, "label": list("abcabc")}), row_group_size=1),
        _claiming(_written(pa.table(one)), _LARGE),
    ]


def chunks() -> list[bytes]:
    """Return column chunks: of both versions, with a dictionary and without, packed or not.

    Behind those are one that has each kind of field that a page header could have, and some that
    can't be.
    """
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table({"image": [picture("PNG")] * 3 + [b"none"], "label": [1, None, 2, 1]})
    found = []
    for version, dictionary, codec in itertools.product(
        ("1.0", "2.0"), (False, True), ("none", "zstd")
    ):
        data = _written(
            table,
            data_page_version=version,
            use_dictionary=dictionary,
            compression=codec,
            write_page_checksum=dictionary,
        )
        group = parquet.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
        for column in map(group.column, range(2)):
            begin = column.dictionary_page_offset if dictionary else column.data_page_offset
            found.append(data[begin : begin + column.total_compressed_size])
    sizes = b"\x15\x00\x15\x0a\x15\x00"  # kind 0, five bytes, none of them packed
    others = b"\x18\x03abc\x11\x12\x13\x05\x14\x03\x16\x07\x17" + bytes(8)
    lists = b"\x19\x21\x01\x02\x1a\x25\x04\x05\x19\xf5\x02\x01\x02\x1b\x01\x85\x01a\x02\x1b\x00"
    own = b"\x0c\x0a\x15\x02\x00"
    refused = (
        b"\x15\x00\x15\xff\xff\xff\xff\x0f\x15\x00\x00",  # -2**31 bytes
        b"\x15\x00\x15\xfe\xff\xff\xff\x0f\x15\x00\x00",  # 2**31 - 1 bytes
        b"\x15\x00\x15\x80\x80\x80\x80\x10\x15\x00\x00",  # 2**31 bytes
        sizes + b"\x4c\x15\x0c\x00\x00",  # a dictionary of six values
        sizes[:-1] + b"\x02\x00",  # a byte that is not there
        sizes + b"\x05\x02\x00\x00",  # field 1 again
        *(b"\x1c" * 20, b"\x1e\x00", b"\x15" + b"\xff" * 12, b"\x19\xf5\xff\x7f"),
    )
    return [*found, sizes + others + lists + own + b"\x00", *refused]


def _written(table: Any, **options: Any) -> bytes:
    from pyarrow import parquet

    stream = io.BytesIO()
    parquet.write_table(table, stream, **options)
    return stream.getvalue()


def _claiming(data: bytes, size: int) -> bytes:
    """Return a file whose first row group claims to have ``size`` bytes unpacked.

    Of that part of the footer the second and third field are the bytes and the rows, each a
    number of Thrift's compact protocol behind a byte that says so.
    """
    from pyarrow import parquet

    group = parquet.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
    own, rows, other = (
        b"\x16" + _varint(value) for value in (group.total_byte_size, group.num_rows, size)
    )
    length = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - length : -8].replace(own + rows, other + rows)
    return data[: -8 - length] + footer + len(footer).to_bytes(4, "little") + data[-4:]


def _varint(value: int) -> bytes:
    rest, found = 2 * value, b""
    while rest > 127:
        found, rest = found + bytes([rest % 128 + 128]), rest // 128
    return found + bytes([rest])
