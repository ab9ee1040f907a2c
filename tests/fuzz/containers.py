"""Changes to zip archives, gzip files and NumPy's headers that leave the container whole."""

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
