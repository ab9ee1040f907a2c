"""What pages of parquet claim."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.data.datasets import open_dataset
from resnet_deploy.data.parquet_pages import CheckedColumns, unpacked_bytes
from resnet_deploy.errors import DatasetError

pytest.importorskip("pyarrow")

_MOST = 1 << 20


def _number(value: int) -> bytes:
    """A number in Thrift's compact protocol."""
    rest, found = (2 * value if value >= 0 else -2 * value - 1), b""
    while rest > 127:
        found, rest = found + bytes([rest % 128 + 128]), rest // 128
    return found + bytes([rest])


def _page(unpacked: int, packed: int, own: bytes = b"\x2c\x15\x02\x00", more: bytes = b"") -> bytes:
    """A page header: kind 0, both sizes, then ``own``: by default a data page with one value."""
    sizes = b"\x15" + _number(unpacked) + b"\x15" + _number(packed)
    return b"\x15\x00" + sizes + more + own + b"\x00"


def test_what_pages_claim_is_added_up() -> None:
    assert unpacked_bytes(_page(7, 3) + b"abc" + _page(9, 0), _MOST, 2) == 16
    assert unpacked_bytes(b"", 0, 0) == 0


def test_other_fields_of_any_kind_are_passed_over() -> None:
    fields = (
        b"\x18\x03abc"  # binary
        b"\x11\x12"  # truth values
        b"\x13\x05\x14\x03\x16\x07\x17" + bytes(8) +  # 8, 16, 64 bits, and a double
        b"\x19\x21\x01\x02\x1a\x25\x04\x05\x1b\x01\x85\x01a\x02"  # a list, a set, and a map
        b"\x1b\x00\x19\xf5\x02\x01\x02"  # an empty map, and the long form of a list
    )  # fmt: skip
    data_page = b"\x0c\x0a\x15\x02\x00"  # field 5, by its number
    chunk = _page(7, 2, own=data_page, more=fields) + b"ab"
    assert unpacked_bytes(chunk, _MOST, 2) == 7


@pytest.mark.parametrize(
    ("chunk", "says"),
    [
        (_page(_MOST + 1, 0), "claim to unpack to 1048577 bytes"),
        (_page(_MOST, 0) + _page(1, 0), "claim to unpack to 1048577 bytes"),
        (_page(1 << 31, 0), "more than 32 bits"),
        (_page(-1, 0), "how large it is"),
        (_page(1, -1), "how large it is"),
        (b"\x15\x00\x2c\x15\x02\x00\x00", "how large it is"),
        (_page(1, 0) * 3, "more values than there are rows, 2"),
        (_page(1, 0, b"\x2c\x15\x06\x00"), "more values than there are rows"),
        (_page(1, 0, b"\x5c\x15\x06\x00"), "more values than there are rows"),
        (_page(1, 1), "ends behind its column"),
        (_page(1, 0) + b"\0", "how large it is"),
        (_page(8, 0, b"\x4c\x15" + _number(9) + b"\x00"), "more values than there are rows"),
        (_page(1, 0)[:4], "header ends behind its column"),
        (b"\x15\x00\x15\x02\x05\x04\x02\x15\x02\x00", "a field twice"),
        (b"\x1c" * 99, "nested too deeply"),
        (b"\x1e\x00", "unknown kind 14"),
        (b"\x15" + b"\xff" * 99, "more than 64 bits"),
        (b"\x19\xf5\xff\xff\x7f", "more elements than bytes"),
        (b"\x18\xff\x7f", "ends behind its column"),
    ],
)
def test_what_can_not_be_is_told(chunk: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        unpacked_bytes(chunk, _MOST, 2)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_bounded_claim_or_an_error(chunk: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert 0 <= unpacked_bytes(chunk, _MOST, 2) <= _MOST


def _written(**options: Any) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table({"image": [b"abcdef" * 9] * 40, "label": [*range(40)]})
    stream = io.BytesIO()
    parquet.write_table(table, stream, **options)
    return stream.getvalue()


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_pyarrow_reads_no_more_than_is_counted(codec: str, version: str, dictionary: bool) -> None:
    from pyarrow import parquet

    data = _written(
        compression=codec, data_page_version=version, use_dictionary=dictionary, data_page_size=99
    )
    group = parquet.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
    chunk = group.column(0)
    begin = chunk.dictionary_page_offset if dictionary else chunk.data_page_offset
    held = data[begin : begin + chunk.total_compressed_size]
    counted = unpacked_bytes(held, _MOST, 40)
    # What the footer says has the headers in it.
    assert 0 < counted < chunk.total_uncompressed_size < counted + len(held)


def test_only_what_is_checked_can_be_read() -> None:
    from pyarrow import parquet

    columns = CheckedColumns(io.BytesIO(_written()))
    file = parquet.ParquetFile(columns)
    columns.only_columns(10_000, 40)
    assert sum(map(len, file.iter_batches(columns=["image"]))) == 40
    assert sum(map(len, file.iter_batches(columns=["label"]))) == 40
    columns.only_columns(10, 40)
    with pytest.raises(ValueError, match="more than is read"):
        list(file.iter_batches(columns=["label"]))
    columns.only_columns(10_000, 40)
    columns.seek(0)
    with pytest.raises(ValueError, match="page"):
        columns.read(100)


@pytest.mark.parametrize("size", [(1 << 29) + 1, (1 << 31) - 1])
def test_a_page_that_claims_gigabytes_is_told(size: int, tmp_path: Path) -> None:
    from pyarrow import parquet

    data = _written(compression="snappy", use_dictionary=False)
    chunk = parquet.ParquetFile(io.BytesIO(data)).metadata.row_group(0).column(0)
    begin, end = chunk.data_page_offset, chunk.data_page_offset + chunk.total_compressed_size
    claimed = _number(58 * 40 + 6)  # the values with their lengths, and the levels
    assert data[begin:].startswith(b"\x15\x00\x15" + claimed)
    other = _number(size)
    # The header grows, and what it is a header of becomes shorter: the footer stays true.
    page = b"\x15\x00\x15" + other + data[begin + 3 + len(claimed) : end]
    path = tmp_path / "a.parquet"
    path.write_bytes(data[:begin] + page[: end - begin] + data[end:])
    with pytest.raises(DatasetError, match=f"claim to unpack to {size} bytes, more than is read"):
        open_dataset(path).image(0)
