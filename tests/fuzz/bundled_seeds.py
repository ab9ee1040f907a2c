"""Valid inputs for each surface of the C++ core and of the JavaScript decoders."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from tests.support.picture_files import picture_files

PICTURES: Final = {
    "netpbm": ("ppm", "pgm", "pbm"),
    "bmp": ("bmp",),
    "gif": ("gif",),
    "png": ("png",),
    "jpeg": ("jpg",),
    "webp": ("webp",),
    "files": ("tif", "pbm", "gif", "bmp", "webp", "jpg", "png"),
}
"""By surface, how the names end of the files that it starts from."""

CORPUS: Final = Path(__file__).parent / "native/corpus"
"""By surface, what coverage or a finding once added."""


def seeds(surface: str, bundle: Path) -> dict[str, bytes]:
    """Return the first inputs of a surface by name; ``bundle`` is a packed C++ bundle.

    With them comes what coverage or a finding once added, from :data:`CORPUS`.
    """
    made = _pictures(surface) if surface in PICTURES else _others(surface, bundle)
    kept = sorted(CORPUS.joinpath(surface).glob("*"))
    return made | {path.name: path.read_bytes() for path in kept}


def _pictures(surface: str) -> dict[str, bytes]:
    few = surface == "files"
    found: dict[str, bytes] = {}
    for name, data in picture_files().items():
        kind = name.rpartition(".")[2]
        if kind in PICTURES[surface] and not (few and kind in {at[-3:] for at in found}):
            found[name] = data
    return found


def _others(surface: str, bundle: Path) -> dict[str, bytes]:
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    picture = b"P6 4 3 255\n" + bytes(range(36))
    numbers = struct.pack(">HHHHBBBBBB", 4, 4, 9, 9, 0, 2, 0, 0, 1, 1)
    made = {
        "orientation": [
            b"\0\3\0\4\0" + tiff,
            b"\0\3\0\4\0Exif\0\0MM\0*" + struct.pack(">IHHHIHH", 8, 1, 0x0112, 3, 1, 8, 0),
            b"\0\3\0\4\x16" + b'tiff:Orientation="5">' + b"\0",
        ],
        "prepare": [
            numbers + struct.pack(">ii", 30, 20) + b"\1" + bytes(range(200)),
            numbers[:-1] + b"\0" + struct.pack(">ii", 5, 4) + b"\1" + bytes(range(60)),
        ],
        "api": [
            b"\0" + struct.pack(">iii", 5, 4, 3) + b"\1" + bytes(range(60)),
            b"\1" + struct.pack(">iii", 5, 4, 3) + b"\0" + struct.pack(">I", 15) + bytes(60),
        ],
        "open": [b"\1red\ngreen\nblue\n", b"\1red\r\n\r\nblue", b"\0\x08\x08"],
        "server": [
            b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(picture) + picture,
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n"
            b"Expect: 100-continue\r\n\r\nP5 1 1 9\n1",
            b"GET / HTTP/1.1\r\n\r\n",
        ],
    }
    if surface == "golden":
        return {"case": _golden_case(bundle)}
    return {str(number): data for number, data in enumerate(made[surface])}


def _golden_case(bundle: Path) -> bytes:
    """Return the first case of a bundle as the surface takes it: lengths before what they count."""
    golden = bundle / "golden"
    name = (bundle / "include/resnet/golden.hpp").read_text(encoding="utf-8")
    name = name.partition('Case cases[] = {\n    Case{"')[2].partition('"')[0]
    (picture,) = (path for path in golden.glob(f"{name}.*") if path.suffix in (".ppm", ".pgm"))
    tensor = (golden / f"{name}.input").read_bytes()
    (scores,) = golden.glob(f"{name}.*.scores")
    content = picture.read_bytes()
    head = struct.pack(">H", len(content)) + content + struct.pack(">H", len(tensor)) + tensor
    return head + scores.read_bytes()
