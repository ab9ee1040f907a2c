"""Small files that unpack to much: what decoding one may take, in C++ and in Node.js."""

from __future__ import annotations

import io
import json
import struct
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

from resnet_deploy.bundles.bundling import pack
from resnet_deploy.data.images import MAX_PIXELS
from resnet_deploy.spec import BundleTarget
from tests.support import npm
from tests.support.native_pictures import compile_decoders
from tests.support.native_toolchain import run
from tests.support.picture_files import chunk
from tests.support.tiny_model import save_colour_model

SIDE = 2000

BYTES = 2**31
"""What a file of the most pixels may take, the picture and a second one to turn it included."""

_EXIF = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
_HEAD = b"\x89PNG\r\n\x1a\n"

_MEASURED = """
import ctypes, json, re, sys
def peak():  # of this program: what getrusage() says is that of whoever started it, too
    return int(re.search("VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])
loaded = ctypes.CDLL(sys.argv[1])
loaded.decode_picture.restype = ctypes.c_bool
loaded.picture_error.restype = ctypes.c_char_p
data, size = open(sys.argv[2], "rb").read(), (ctypes.c_int * 2)()
before = peak()
read = loaded.decode_picture(data, ctypes.c_size_t(len(data)), size)
after = peak()
error = "" if read else loaded.picture_error().decode()
print(json.dumps({"kib": after - before, "size": list(size), "error": error}))
"""

_COUNTED = """
import { readFileSync } from 'node:fs';
let streams = 0;
const Stream = globalThis.DecompressionStream;
globalThis.DecompressionStream = class extends Stream {
  constructor(format) {
    super(format);
    streams += 1;
  }
};
const { decodePicture } = await import('./pictures.mjs');
const { width, height } = await decodePicture(readFileSync('picture'));
const [, kib] = /VmHWM:\\s*(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'));
console.log(JSON.stringify({ streams, width, height, kib: Number(kib) }));
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C++ decoders with all their libraries."""
    return compile_decoders(tmp_path_factory.mktemp("pictures"))


def measured(library: Path, data: bytes, folder: Path) -> tuple[int, tuple[int, int], str]:
    """Return by how many bytes a process grows, the picture's size, and an error."""
    (folder / "picture").write_bytes(data)
    command = [sys.executable, "-c", _MEASURED, str(library), str(folder / "picture")]
    found = json.loads(run(command, folder))
    return found["kib"] * 1024, tuple(found["size"]), found["error"]


def png(side: int, bits: int, interlaced: bool, *before: bytes, rows: bytes = b"") -> bytes:
    """Transparent black, turned to the right by its EXIF; ``rows`` are others to be packed."""
    passes = ((8, 8), (8, 8), (4, 8), (4, 4), (2, 4), (2, 2), (1, 2)) if interlaced else ((1, 1),)
    rows = rows or b"".join(
        bytes(1 + side // across * bits // 2) * (side // down) for across, down in passes
    )
    header = struct.pack(">IIBBBBB", side, side, bits, 6, 0, 0, int(interlaced))
    parts = (chunk(b"IHDR", header), chunk(b"eXIf", _EXIF), *before)
    return _HEAD + b"".join(parts) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def saved(mode: str, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, (SIDE, SIDE), (10, 20, 30, 128)).save(stream, kind, **options)
    return stream.getvalue()


def largest() -> dict[str, bytes]:
    """Return files of the kinds whose decoders keep most a pixel."""
    inks = {"progressive": True, "quality": 30, "exif": b"Exif\0\0" + _EXIF}
    return {
        "deep.png": png(SIDE, 16, interlaced=False),
        "deep-interlaced.png": png(SIDE, 16, interlaced=True),
        "clear.webp": saved("RGBA", "WEBP", lossless=True, method=0, exif=_EXIF),
        "inks.jpg": saved("CMYK", "JPEG", **inks),
    }


@pytest.mark.parametrize("name", largest())
def test_the_largest_picture_stays_below_two_gibibytes(
    library: Path, tmp_path: Path, name: str
) -> None:
    """Memory grows with the pixels, so a smaller picture tells."""
    grown, size, error = measured(library, largest()[name], tmp_path)
    assert (size, error) == ((SIDE, SIDE), "")
    assert grown > SIDE**2 * 3
    assert grown / SIDE**2 < BYTES / MAX_PIXELS


def texts(count: int, size: int) -> tuple[bytes, ...]:
    """Return texts that may say how a picture is turned, of ``size`` bytes each."""
    text = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"0" * size, 9))
    return (text,) * count


def test_texts_in_a_png_are_not_kept(library: Path, tmp_path: Path) -> None:
    grown, size, error = measured(library, png(4, 8, False, *texts(40, 7_000_000)), tmp_path)
    assert (size, error) == ((4, 4), "")
    assert grown < 20e6


def test_a_png_too_short_for_its_pixels_takes_no_memory(library: Path, tmp_path: Path) -> None:
    grown, _, error = measured(library, png(13_000, 16, False, rows=bytes(10**6)), tmp_path)
    assert "truncated" in error
    assert grown < 20e6


def test_scans_of_a_jpeg_are_bounded(library: Path, tmp_path: Path) -> None:
    """Each goes over all pixels, and a scan of no news has a few bytes."""
    stream = io.BytesIO()
    Image.new("RGB", (64, 64)).save(stream, "JPEG", progressive=True)
    data = stream.getvalue()
    last = data.rindex(b"\xff\xda")
    _, size, error = measured(library, data, tmp_path)
    assert (size, error) == ((64, 64), "")
    *_, error = measured(library, data[:-2] + data[last:-2] * 100 + data[-2:], tmp_path)
    assert "more than 100 scans" in error


def counted(data: bytes, folder: Path) -> dict[str, int]:
    """Return how often Node.js unpacked something of a file, the picture's size, and memory."""
    (folder / "in").mkdir()
    save_colour_model(folder / "in/model.onnx")
    pack(folder / "in/model.onnx", BundleTarget.NODE, folder / "bundle")
    (folder / "bundle/picture").write_bytes(data)
    command = [npm.find_node(), "--input-type=module", "--eval", _COUNTED]
    found: dict[str, int] = json.loads(npm.run(command, folder / "bundle").stdout)
    return found


def test_one_text_of_a_png_is_unpacked_in_javascript(tmp_path: Path) -> None:
    found = counted(png(4, 8, False, *texts(300, 1_000_000)), tmp_path)
    assert (found["width"], found["height"]) == (4, 4)
    assert found["streams"] == 2  # and the pixels


def test_the_largest_png_stays_below_two_gibibytes_in_javascript(tmp_path: Path) -> None:
    side = 4000
    found = counted(png(side, 16, interlaced=False), tmp_path)
    empty = 100 << 20
    assert (found["width"], found["height"]) == (side, side)
    assert (found["kib"] * 1024 - empty) / side**2 < BYTES / MAX_PIXELS
