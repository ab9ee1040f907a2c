"""Pictures that hold fewer pixels than they should, where Pillow makes up the others.

Of other formats Pillow itself says that they are truncated. It leaves rows black where a PNG's
compressed stream ends in good order before the last row, and where an uncompressed TIFF lists too
few strips; those that a compressed TIFF does not list, libtiff reads from the file's start.

Bundles hold a copy of this file: it imports Pillow alone.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import IO

from PIL import Image

_SIGNATURE = re.compile(rb"\x89PNG\r\n\x1a\n")
_HOLD_PNG = frozenset(("ICO", "ICNS"))

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Colour type -> samples a pixel (https://www.w3.org/TR/png-3/#11IHDR)."""

_PASSES = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
"""Of an interlaced PNG: first column and row, steps across and down."""

_PIECE = 1 << 20

_WIDTH, _HEIGHT, _SAMPLES_PER_PIXEL, _PLANAR = 256, 257, 277, 284
_STRIPS, _ROWS_PER_STRIP = 273, 278
_TILE_WIDTH, _TILE_HEIGHT, _TILES = 322, 323, 324
"""Tags of TIFF 6.0; the lists are those of offsets."""

_APART = 2
"""PlanarConfiguration: each sample of a pixel in a plane of its own."""


def check_strips(image: Image.Image) -> None:
    """Check that ``image`` lists as many strips or tiles as cover it.

    Raises:
        ValueError: it is a TIFF, and they do not.
    """
    if image.format != "TIFF":
        return
    tags = image.tag_v2  # type: ignore[attr-defined]  # of TiffImageFile, which is slow to import
    width, height = tags[_WIDTH], tags[_HEIGHT]
    if _STRIPS in tags:
        listed, across, down = tags[_STRIPS], width, tags.get(_ROWS_PER_STRIP, height)
    else:
        listed, across, down = tags.get(_TILES, ()), tags.get(_TILE_WIDTH), tags.get(_TILE_HEIGHT)
    if not all(isinstance(size, int) and size > 0 for size in (across, down)):
        raise ValueError("it does not say how large its strips or tiles are")
    planes = tags.get(_SAMPLES_PER_PIXEL, 1) if tags.get(_PLANAR) == _APART else 1
    if len(listed) < -(-width // across) * -(-height // down) * planes:
        raise _missing()


def check_rows(image: Image.Image, stream: IO[bytes]) -> None:
    """Check that all rows of ``image``, which was loaded from ``stream``, were there.

    Counting takes half as long as decoding. Only where the last row is black, or the rows are in
    another order, it is needed.

    Raises:
        ValueError: it is or holds a PNG, and they were not.
    """
    if image.format != "PNG" and image.format not in _HOLD_PNG:
        return
    last = (0, image.height - 1, image.width, image.height)
    in_order = image.format == "PNG" and not image.info.get("interlace")
    if in_order and image.crop(last).getbbox(alpha_only=False) is not None:
        return
    stream.seek(0)
    head = stream.read(8) if image.format == "PNG" else stream.read()
    for signature in _SIGNATURE.finditer(head):
        stream.seek(signature.end())
        if not _all_rows(stream):
            raise _missing()


def _missing() -> ValueError:
    return ValueError("it is truncated: it holds fewer pixels than its header says")


def _all_rows(stream: IO[bytes]) -> bool:
    """Whether the compressed pixels of the PNG in ``stream``, behind its signature, are enough."""
    wanted, unpacker = 1, zlib.decompressobj()
    while wanted > 0 and len(head := stream.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name == b"IEND":
            break
        if name == b"IHDR":
            wanted = _bytes_of_rows(stream.read(length))
        elif name == b"IDAT":
            while wanted > 0 and length > 0 and (data := stream.read(min(length, _PIECE))):
                length -= len(data)
                wanted -= _count(unpacker, data, wanted)
        else:
            stream.seek(length, 1)
        stream.seek(4, 1)  # the checksum
    return wanted <= 0


def _count(unpacker: zlib._Decompress, data: bytes, most: int) -> int:
    """Return how many bytes ``data`` unpacks to, counted up to ``most`` of them."""
    count = 0
    try:
        # Pieces end where all that the data hold has come, not where all data have been taken.
        while count < most and (piece := unpacker.decompress(data, _PIECE)):
            count += len(piece)
            data = unpacker.unconsumed_tail
    except zlib.error:  # Pillow has judged that
        return most
    return count


def _bytes_of_rows(header: bytes) -> int:
    """Return how long the pixels are, unpacked, by the content of IHDR."""
    width, height, bits, colour, _, _, interlaced = struct.unpack(">2I5B", header[:13])
    count = 0
    for left, top, across, down in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            count += rows * (1 + -(-columns * _SAMPLES[colour] * bits // 8))
    return count
