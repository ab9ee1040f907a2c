"""Seeds of parquet files: columns of every kind, several row groups, and odd metadata."""

from __future__ import annotations

import io
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
