"""Seeds of tar archives: shards with labels of every kind, packed folders, and odd headers."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping

from tests.fuzz.doors.picture import picture

_PNG = picture("PNG")


def tars() -> list[bytes]:
    """Return archives that are read, and one for each reason to refuse one."""
    long = f"{'d' * 90}/{'e' * 90}.png"
    return [
        *(packed({long: _PNG, "b/ä.png": _PNG}, form) for form in (0, 1, 2)),
        packed({"1.png": _PNG, "labels.csv": b"1.png,cat\n"}),
        packed({"1.png": _PNG, "2.png": _PNG, "metadata.csv": b"file_name,label\n1.png,cat\n"}),
        packed({"train/a/1.png": _PNG, "val/a/1.png": _PNG, "val/b/._2.png": b"", "c/": b""}),
        packed({"train/a/1.png": _PNG, "train/b/2.png": _PNG, "val/a/1.png": _PNG}),
        packed({"a/1.png": _PNG, "./a/1.png": _PNG}),
        packed({"a/notes.md": b"no picture"}),
        *(packed({"a/1.png": b""}, kind=kind) for kind in (tarfile.SYMTYPE, b"S")),
        packed({"a/1.png": _PNG})[:1024],
        gzip.compress(packed({"a/1.png": _PNG}), mtime=0),
        *_labelled(),
        *_odd_headers(),
    ]


def packed(
    files: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT, kind: bytes = tarfile.REGTYPE
) -> bytes:
    """Return an archive of ``files`` by name, as Python writes it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.size = kind, len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def _labelled() -> list[bytes]:
    """Return shards of WebDataset, with labels in files of each kind that a reader may meet."""
    described = {"1.png": _PNG, "1.txt": b"what is on it " * 20, "2.png": _PNG}
    return [
        packed({"a/1.png": _PNG, "a/1.cls": b"1", "b/2.png": _PNG, "b/2.cls": b"0"}),
        packed({"1.png": _PNG, "1.seg.png": _PNG, "1.json": b'{"label": "cat"}'}),
        packed({"1.png": _PNG, "1.json": b'{"label": 1, "label": 2}'}),
        packed({"1.png": _PNG, "1.json": b'{"caption": "a cat"}', "1.txt": b"cat\nand dog"}),
        packed({"1.jpg": _PNG, "1.png": _PNG, "1.txt": b"cat"}),
        packed(described),
        packed({"1.png": _PNG, "1.txt": b"cat", "2.png": _PNG, "2.txt": b"a\nb", "3.json": b"{}"}),
        packed({"1.png": _PNG, "1.cls": b"\xff"}),
        packed({"1.png": _PNG, "1.cls": b"0" * 201}),
        packed({"1.png": _PNG, "1.cls": b"0" * 70_000}),
        # The second sample has the first one's name, and others lie in between.
        packed({"1.png": _PNG, "1.cls": b"0", "2.png": _PNG, "2.cls": b"1"})[:4096]
        + packed({"1.png": _PNG, "1.cls": b"1"}),
    ]


def _odd_headers() -> list[bytes]:
    """Return archives whose headers Python does not write."""
    end, name = bytes(1024), b"a/1.png"
    plain = _entry(name, _PNG)
    size = b"%d" % len(_PNG)
    return [
        _entry(name, _PNG, size=b"\x80" + len(_PNG).to_bytes(11, "big")) + end,
        _entry(name, _PNG, size=b"none") + end,
        _entry(name, _PNG, size=b"77777777777") + end,
        _entry(name, _PNG, size=b"\x80" + b"\xff" * 11) + end,
        _entry(b"./@LongLink", b"b/" + b"n" * 200 + b".png\0", kind=b"L") + plain + end,
        _entry(b"./@LongLink", b"n" * 5000, kind=b"L") + plain + end,
        _entry(b"./@LongLink", b"", kind=b"L", size=b"77777777") + plain + end,
        _entry(b"./@LongLink", b"", kind=b"L", size=b"2000000") + plain + end,
        _entry(b"x", _record(b"size", size), kind=b"x") + _entry(name, _PNG, size=b"0") + end,
        _entry(b"x", _record(b"size", b"-1"), kind=b"x") + plain + end,
        _entry(b"x", _record(b"path", b"/./b/\xff.png"), kind=b"X") + plain + end,
        _entry(b"x", _record(b"path", b"a\0b.png"), kind=b"x") + plain + end,
        _entry(b"x", _record(b"GNU.sparse.major", b"1"), kind=b"x") + plain + end,
        _entry(b"x", b"99 path=a\n", kind=b"x") + plain + end,
        _entry(b"g", _record(b"comment", b"of all"), kind=b"g") * 9 + plain + end,
        plain + end + plain + end,
        plain,
        b"\1" + plain[1:] + end,
        _entry(name, _PNG, kind=b"\0", magic=b"") + _entry(b"d", b"", kind=b"5") + end,
    ]


def _record(key: bytes, value: bytes) -> bytes:
    """Return a line of a pax header, which begins with its own length."""
    rest = b" " + key + b"=" + value + b"\n"
    return b"%02d" % (len(rest) + 2) + rest


def _entry(
    name: bytes,
    content: bytes,
    *,
    kind: bytes = b"0",
    size: bytes | None = None,
    magic: bytes = b"ustar\x0000",
) -> bytes:
    """Return a header with a right sum, and the content behind it; ``size`` may be another."""
    stated = b"%011o" % len(content) if size is None else size
    header = bytearray(512)
    for at, field in ((0, name), (124, stated), (148, b" " * 8), (156, kind), (257, magic)):
        header[at : at + len(field)] = field
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + content + bytes(-len(content) % 512)
