"""Changes to the parts of PNG, JPEG and TIFF; checksums and lengths stay right."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable

from tests.fuzz.texts import NUMBERS

_KINDS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"gAMA", b"iCCP", b"zTXt", b"iTXt", b"eXIf", b"acTL")

Deeper = Callable[[bytes], bytes]


def change_png(data: bytes, chance: random.Random, deeper: Deeper) -> bytes | None:
    """Change, rename, repeat, move or drop a chunk."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return None
    chunks, at = [], 8
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if size > len(data) - at - 12:
            break
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    if not chunks:
        return None
    index = chance.randrange(len(chunks))
    kind, content = chunks[index]
    what = chance.random()
    if kind == b"IHDR" and what < 0.7:
        field = chance.randrange(13)
        size = 4 if field in (0, 4) else 1
        value = chance.choice(NUMBERS) % (1 << 8 * size)
        chunks[index] = (
            kind,
            content[:field] + value.to_bytes(size, "big") + content[field + size :],
        )
    elif what < 0.5:
        if kind == b"IDAT" and what < 0.25:
            try:
                content = zlib.compress(deeper(zlib.decompress(content)))
            except zlib.error:
                content = deeper(content)
        else:
            content = deeper(content)
        chunks[index] = (kind, content)
    elif what < 0.65:
        chunks[index] = (chance.choice(_KINDS), content)
    elif what < 0.8:
        chunks.insert(chance.randrange(len(chunks) + 1), chunks[index])
    else:
        del chunks[index]
    made = bytearray(data[:8])
    for kind, content in chunks:
        made += struct.pack(">I", len(content)) + kind + content
        made += struct.pack(">I", zlib.crc32(kind + content))
    return bytes(made)


def change_jpeg(data: bytes, chance: random.Random, _: Deeper) -> bytes | None:
    """Change a byte or number in a segment before the scan, repeat, move or drop the segment."""
    if not data.startswith(b"\xff\xd8"):
        return None
    segments, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        size = int.from_bytes(data[at + 2 : at + 4], "big") + 2
        segments.append(data[at : at + size])
        at += size
    if not segments:
        return None
    index = chance.randrange(len(segments))
    what = chance.random()
    if what < 0.6:
        segment = bytearray(segments[index])
        place, size = chance.randrange(1, len(segment)), chance.choice((1, 2))
        value = chance.choice(NUMBERS) % (1 << 8 * size)
        segment[place : place + size] = value.to_bytes(size, "big")
        segments[index] = bytes(segment)
    elif what < 0.75:
        segments.insert(chance.randrange(len(segments) + 1), segments[index])
    elif what < 0.9:
        del segments[index]
    else:
        chance.shuffle(segments)
    return data[:2] + b"".join(segments) + data[at:]


def change_tiff(data: bytes, chance: random.Random, _: Deeper) -> bytes | None:
    """Change tag, type, count or value of an entry; Exif in a JPEG has the same entries."""
    order = {b"II*\x00": "<", b"MM\x00*": ">"}
    at = data[:64].find(b"II*\x00") if b"II*\x00" in data[:64] else data[:64].find(b"MM\x00*")
    if at < 0 or len(data) < at + 8:
        return None
    sign = order[data[at : at + 4]]
    (first,) = struct.unpack_from(f"{sign}I", data, at + 4)
    base = at + first
    if base + 2 > len(data):
        return None
    (count,) = struct.unpack_from(f"{sign}H", data, base)
    entry = base + 2 + 12 * chance.randrange(max(1, min(count, 64)))
    if entry + 12 > len(data):
        return None
    offset, size = chance.choice(((0, 2), (2, 2), (4, 4), (8, 4), (8, 2)))
    values = (*NUMBERS, 0x100, 0x101, 0x102, 0x103, 0x106, 0x111, 0x115, 0x117, 0x11C, 0x112, 5, 7)
    packed = (chance.choice(values) % (1 << 8 * size)).to_bytes(
        size, "little" if sign == "<" else "big"
    )
    return data[: entry + offset] + packed + data[entry + offset + size :]
