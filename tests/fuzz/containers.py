"""Changes to zip and tar archives, gzip files and NumPy's headers that leave them whole."""

from __future__ import annotations

import gzip
import io
import random
import re
import struct
import zipfile
from collections.abc import Callable

from tests.fuzz.texts import NUMBERS, TEXTS

Deeper = Callable[[bytes], bytes]
"""Changes what lies inside."""

_RECORDS = re.compile(rb"PK(?:\x01\x02|\x03\x04|\x05\x06|\x06\x06|\x06\x07)")
_DESCRIPTIONS = (
    *("'|O'", "'<f8'", "'|u1'", "'<i8'", "'>i4'", "'|b1'", "'<c16'", "'|S5'", "'<U1'", "'|V0'"),
    *("'<M8[s]'", "'<f2'", "[('a', '<f4', (3,))]", "''", "'<f99'", "None", "5"),
)
_SHAPES = (
    "()",
    "(0,)",
    "(-1,)",
    "(2, 2**40)",
    "(99999999999,)",
    "(3, 3, 3)",
    "(True,)",
    "5",
    "'a'",
)


def change_zip(data: bytes, chance: random.Random, deeper: Deeper) -> bytes | None:
    """Change the content, name or way of packing of a member, leave it out or have it twice."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info, archive.read(info)) for info in archive.infolist()[:64]]
    except Exception:
        return None
    if not members:
        return None
    at = chance.randrange(len(members))
    kept = [(info.filename, info.compress_type, content) for info, content in members]
    name, kind, content = kept[at]
    what = chance.random()
    if what < 0.65:
        kept[at] = (name, kind, deeper(content))
    elif what < 0.75:
        other = chance.choice(TEXTS[1:16]).decode(errors="replace").strip("\x00")
        kept[at] = (other or name, kind, content)
    elif what < 0.85:
        packing = chance.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
        kept[at] = (name, packing, content)
    elif what < 0.9:
        kept.append((name, kind, deeper(content)))
    elif what < 0.95:
        del kept[at]
    else:
        place = chance.randrange(len(kept))
        kept[at] = (name, kind, kept[place][2])
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for one in kept:
            archive.writestr(zipfile.ZipInfo(one[0]), one[2], one[1])
    return made.getvalue()


def change_zip_records(data: bytes, chance: random.Random, _: Deeper) -> bytes | None:
    """Change a field of a member's header, of the directory, or of its end."""
    if not data.startswith(b"PK") or chance.random() < 0.5:
        return None
    records = [found.start() for found in _RECORDS.finditer(data)]
    if not records:
        return None
    at = chance.choice(records) + chance.randrange(4, 46, 2)
    size = chance.choice((2, 4))
    value = chance.choice(NUMBERS) % (1 << 8 * size)
    return data[:at] + value.to_bytes(size, "little") + data[at + size :]


def change_gzip(data: bytes, chance: random.Random, deeper: Deeper) -> bytes | None:
    """Change what is packed."""
    if not data.startswith(b"\x1f\x8b"):
        return None
    try:
        content = gzip.decompress(data)
    except Exception:
        return None
    return gzip.compress(deeper(content), 1, mtime=0)


def change_npy(data: bytes, chance: random.Random, _: Deeper) -> bytes | None:
    """Put another type, order or shape into the header of an array."""
    if not data.startswith(b"\x93NUMPY\x01") or len(data) < 10:
        return None
    (length,) = struct.unpack("<H", data[8:10])
    header = data[10 : 10 + length].decode("latin-1").rstrip()
    what = chance.random()
    if what < 0.4:
        header = re.sub(r"('descr': ).*?(, 'f)", rf"\g<1>{chance.choice(_DESCRIPTIONS)}\2", header)
    elif what < 0.8:
        shape = chance.choice(_SHAPES)
        header = re.sub(
            r"('shape': ).*?(, ?\}|$)", lambda found: found[1] + shape + found[2], header
        )
    elif what < 0.9:
        header = header.replace("False", chance.choice(("True", "1", "None", "{}")))
    else:
        header = header[: chance.randrange(len(header) + 1)] + chance.choice(TEXTS).decode(
            "latin-1"
        )
    packed = header.encode("latin-1")[:65000]
    return data[:8] + struct.pack("<H", len(packed)) + packed + data[10 + length :]


_FIELDS = ((0, 100), (124, 12), (156, 1), (157, 100), (257, 8), (345, 155))
"""Of a tar's header, offset and length: name, size, type, aim of a link, magic, prefix."""


def change_tar(data: bytes, chance: random.Random, deeper: Deeper) -> bytes | None:
    """Change a field of a header, whose checksum stays right, or what is behind it."""
    headers = [
        at
        for at in range(0, len(data) - 511, 512)
        if re.fullmatch(rb"0*([0-7]+)[ \0]{1,2}", data[at + 148 : at + 156])
        and _tar_sum(data[at : at + 512]) == int(data[at + 148 : at + 155].strip(b" \0") or b"0", 8)
    ]
    if not headers:
        return None
    at = chance.choice(headers)
    if chance.random() < 0.4:
        end = min((other for other in headers if other > at), default=len(data))
        content = deeper(data[at + 512 : end])
        return data[: at + 512] + content + bytes(-len(content) % 512) + data[end:]
    start, length = chance.choice(_FIELDS)
    field = deeper(data[at + start : at + start + length])[:length].ljust(length, b"\0")
    if start == 156:
        field = chance.choice((b"0", b"1", b"2", b"5", b"L", b"K", b"x", b"g", b"S", b"\0"))
    header = bytearray(data[at : at + 512])
    header[start : start + length] = field
    header[148:156] = b"%06o\0 " % _tar_sum(header)
    return data[:at] + bytes(header) + data[at + 512 :]


def _tar_sum(header: bytes | bytearray) -> int:
    return sum(header[:148]) + 8 * 32 + sum(header[156:512])
