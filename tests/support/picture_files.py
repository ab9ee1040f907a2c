"""One table of picture files, of every kind that Pillow reads, for all that decode them.

Files are made here, by Pillow or by hand where it can't write them: a few pixels each, no network.
Long because it is a table.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from resnet_deploy.data.images import MAX_PIXELS, decode, to_rgb

Pixels = NDArray[np.uint8]

_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
_PASSES = (*_ADAM7, (0, 1, 1, 2))
"""First column, first row, steps across and down: PNG specification, section 8.2."""

_TILTED = 16000


@cache
def picture_files() -> dict[str, bytes]:
    """Return the files by name; those that start with ``bad-`` are refused by Python."""
    return dict((*_jpegs(), *_pngs(), *_webps(), *_bmps(), *_gifs(), *_others(), *_bad()))


@cache
def python_pixels() -> dict[str, Pixels | None]:
    """Return what Python reads of each file, ``(H, W, 3)`` in uint8; None: it refuses the file."""
    return {name: python_reads(data) for name, data in picture_files().items()}


def python_reads(data: bytes) -> Pixels | None:
    """Return the RGB pixels of a file as ``predict`` and ``evaluate`` see them; None: refused."""
    try:
        return np.asarray(to_rgb(decode(io.BytesIO(data))))
    except Exception:  # as in resnet_deploy.data.images
        return None


def _photo(width: int = 37, height: int = 29) -> Image.Image:
    """Smooth colours with edges in them, so that subsampling and rounding show."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([(x * 7) % 256, (y * 9 + x) % 256, 255 - (x * y) % 256], -1).astype(np.uint8)
    pixels[height // 3 : height // 2, width // 4 : width // 2] = (250, 10, 40)
    return Image.fromarray(pixels)


def _alpha(width: int = 37, height: int = 29) -> Image.Image:
    """Every alpha from 0 to 255."""
    values = np.arange(width * height, dtype=np.int64).reshape(height, width) * 7 % 256
    return Image.fromarray(values.astype(np.uint8))


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


_EXIF = b"Exif\0\0"
"""What EXIF begins with in a JPEG, where Pillow writes what it is given."""


def _exif(orientation: int, order: str = "<") -> bytes:
    head = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    return head + struct.pack(f"{order}IH", 8, 1) + entry + bytes(4)


def _xmp(orientation: int) -> bytes:
    return f'<x:xmpmeta><r tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()


def _jpegs() -> Iterator[tuple[str, bytes]]:
    photo = _photo()
    for number, name in enumerate(("444", "422", "420")):
        yield f"ycc-{name}.jpg", _saved(photo, "JPEG", subsampling=number, quality=85)
        progressive = _saved(photo, "JPEG", subsampling=number, progressive=True, quality=60)
        yield f"progressive-{name}.jpg", progressive
    for side in (1, 2, 3, 8, 17):
        yield f"{side}-wide.jpg", _saved(_photo(side, 21), "JPEG", quality=70)
        yield f"{side}-high.jpg", _saved(_photo(23, side), "JPEG", quality=70)
    yield "grey.jpg", _saved(photo.convert("L"), "JPEG")
    yield "rgb.jpg", _saved(photo, "JPEG", keep_rgb=True)
    yield "restarts.jpg", _saved(photo, "JPEG", restart_marker_blocks=2)
    yield "profile.jpg", _saved(photo, "JPEG", icc_profile=bytes(range(256)) * 2)
    inks = Image.merge("CMYK", (*photo.split(), _alpha()))
    cmyk = _saved(inks, "JPEG", quality=90)
    yield "cmyk.jpg", cmyk
    adobe = cmyk.index(b"Adobe")
    yield "ycck.jpg", cmyk[: adobe + 11] + b"\2" + cmyk[adobe + 12 :]
    yield "cmyk-no-adobe.jpg", cmyk[: adobe - 4] + cmyk[adobe + 12 :]
    for orientation in range(1, 10):
        turned = _saved(photo, "JPEG", exif=_EXIF + _exif(orientation))
        yield f"exif-{orientation}.jpg", turned
    yield "exif-8-big-endian.jpg", _saved(photo, "JPEG", exif=_EXIF + _exif(8, ">"))
    yield "exif-broken.jpg", _saved(photo, "JPEG", exif=_EXIF + b"II*\0garbage, no directory")
    packet = b"http://ns.adobe.com/xap/1.0/\0" + _xmp(6)
    plain = _saved(photo, "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(packet) + 2) + packet
    yield "xmp-6.jpg", plain[:2] + segment + plain[2:]
    yield "bad-no-end.jpg", plain[:-2]


def chunk(name: bytes, content: bytes) -> bytes:
    sum_ = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + sum_


def _packed(samples: NDArray[Any], bits: int) -> bytes:
    """Rows of samples ``(H, W, C)`` as PNG stores them, without a filter."""
    height = samples.shape[0]
    flat = samples.reshape(height, -1)
    if bits == 16:
        rows = flat.astype(">u2").view(np.uint8).reshape(height, -1)
    elif bits == 8:
        rows = flat.astype(np.uint8)
    else:
        unpacked = np.unpackbits(flat.astype(np.uint8)[..., None], axis=-1)[..., 8 - bits :]
        rows = np.packbits(unpacked.reshape(height, -1), axis=-1)
    return b"".join(b"\0" + row.tobytes() for row in rows)


def _png(
    samples: NDArray[Any],
    kind: int,
    bits: int,
    *before: bytes,
    interlaced: bool = False,
    missing: int = 0,
) -> bytes:
    """Return a PNG; the last ``missing`` bytes of its pixels are left out, then they are packed."""
    height, width = samples.shape[:2]
    if interlaced:
        parts = [samples[y::down, x::across] for x, y, across, down in _PASSES]
        rows = b"".join(_packed(part, bits) for part in parts if part.size)
    else:
        rows = _packed(samples, bits)
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, int(interlaced))
    packed = zlib.compress(rows[: len(rows) - missing])
    chunks = (chunk(b"IHDR", header), *before, chunk(b"IDAT", packed))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")


def _pngs() -> Iterator[tuple[str, bytes]]:
    rng = np.random.default_rng(5)
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
    depths = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
    names = {0: "grey", 2: "rgb", 3: "palette", 4: "grey-alpha", 6: "rgba"}
    for kind, name in names.items():
        for bits in depths[kind]:
            samples = rng.integers(0, 2**bits, (11, 13, channels[kind]))
            colours = chunk(b"PLTE", rng.integers(0, 256, 3 << bits, np.uint8).tobytes())
            palette = (colours,) if kind == 3 else ()
            yield f"{name}-{bits}.png", _png(samples, kind, bits, *palette)
            interlaced = _png(samples, kind, bits, *palette, interlaced=True)
            yield f"{name}-{bits}-interlaced.png", interlaced
            clear = struct.pack(f">{channels[kind]}H", *samples[3, 4])
            if kind == 3:
                clear = rng.integers(0, 256, max(2**bits - 1, 1), np.uint8).tobytes()
            if kind in (0, 2, 3):
                with_clear = _png(samples, kind, bits, *palette, chunk(b"tRNS", clear))
                yield f"{name}-{bits}-clear.png", with_clear
    black = np.zeros((11, 13, 4), np.uint8)  # as if rows were missing
    yield "black.png", _png(black, 6, 8)
    yield "black-interlaced.png", _png(black, 6, 8, interlaced=True)
    photo = _photo()
    yield "more.png", _saved(photo, "PNG") + b"behind its end"
    yield "filtered.png", _saved(photo, "PNG")
    yield "gamma.png", _png(np.asarray(photo), 2, 8, chunk(b"gAMA", struct.pack(">I", 100000)))
    few = chunk(b"PLTE", rng.integers(0, 256, 30, np.uint8).tobytes())
    yield "palette-short.png", _png(rng.integers(0, 16, (11, 13, 1)), 3, 8, few)
    for orientation in (3, 6):
        yield f"exif-{orientation}.png", _saved(photo, "PNG", exif=_exif(orientation))
    xmp = b"XML:com.adobe.xmp\0\0\0\0\0" + _xmp(8)
    yield "xmp-8.png", _png(np.asarray(photo), 2, 8, chunk(b"iTXt", xmp))
    hexadecimal = (_EXIF + _exif(6)).hex()
    profile = f"\nexif\n{len(hexadecimal) // 2:8}\n{hexadecimal}\n".encode()
    text = b"Raw profile type exif\0\0" + zlib.compress(profile)
    yield "text-6.png", _png(np.asarray(photo), 2, 8, chunk(b"zTXt", text))


def _webps() -> Iterator[tuple[str, bytes]]:
    photo = _photo()
    clear = photo.copy()
    clear.putalpha(_alpha())
    binary = photo.copy()
    binary.putalpha(_alpha().point(lambda level: 255 * (level > 99)))
    for name, image in {"rgb": photo, "rgba": clear, "binary": binary}.items():
        yield f"lossy-{name}.webp", _saved(image, "WEBP", quality=70)
        yield f"lossless-{name}.webp", _saved(image, "WEBP", lossless=True)
    yield "exif-6.webp", _saved(photo, "WEBP", exif=_exif(6))
    yield "xmp-3.webp", _saved(photo, "WEBP", xmp=_xmp(3))
    frames = [_photo().transpose(Image.Transpose.ROTATE_180)]
    yield "animated.webp", _saved(photo, "WEBP", save_all=True, append_images=frames)
    animated = _saved(clear, "WEBP", save_all=True, append_images=frames, lossless=True)
    yield "animated-alpha.webp", animated
    red = {"background": (255, 0, 0, 255), "save_all": True, "append_images": frames}
    yield "animated-red.webp", _saved(clear, "WEBP", **red)
    larger = bytearray(_saved(photo, "WEBP", **red))
    larger[24] += 5  # a wider canvas than its first frame
    yield "framed.webp", bytes(larger)


def _bitmap(
    header: bytes, bits: int, rows: Pixels, palette: bytes = b"", more: bytes = b""
) -> bytes:
    pixels = rows.tobytes()
    start = 14 + len(header) + len(more) + len(palette)
    return (
        struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start)
        + header
        + more
        + palette
        + pixels
    )


def _bmp_header(width: int, height: int, bits: int, compression: int = 0, size: int = 40) -> bytes:
    return struct.pack(
        "<IiiHHIIIIII", size, width, height, 1, bits, compression, 0, 2835, 2835, 0, 0
    )


def _bmps() -> Iterator[tuple[str, bytes]]:
    photo = _photo()
    for mode in ("RGB", "L", "1", "P"):
        yield f"{mode.lower()}.bmp", _saved(photo.convert(mode), "BMP")
    rng = np.random.default_rng(6)
    palette = rng.integers(0, 256, (256, 4), np.uint8)
    for bits in (1, 4):
        rows = rng.integers(0, 256, (9, 4 * ((13 * bits + 31) // 32)), np.uint8)
        colours = palette[: 2**bits].tobytes()
        yield f"palette-{bits}.bmp", _bitmap(_bmp_header(13, 9, bits), bits, rows, colours)
    short = bytearray(_bmp_header(13, 9, 8))
    short[32:36] = struct.pack("<I", 10)
    rows = rng.integers(0, 16, (9, 16), np.uint8)
    yield "palette-short.bmp", _bitmap(bytes(short), 8, rows, palette[:10].tobytes())
    deep = rng.integers(0, 256, (9, 28), np.uint8)
    yield "555.bmp", _bitmap(_bmp_header(13, 9, 16), 16, deep)
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    yield "565.bmp", _bitmap(_bmp_header(13, 9, 16, 3), 16, deep, b"", masks)
    full = rng.integers(0, 256, (9, 52), np.uint8)
    yield "32.bmp", _bitmap(_bmp_header(13, 9, 32), 32, full)
    yield "downwards.bmp", _bitmap(_bmp_header(13, -9, 32), 32, full)
    alpha = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = _bmp_header(13, 9, 32, 3, 56) + alpha
    yield "alpha.bmp", _bitmap(header, 32, full)
    old = struct.pack("<IHHHH", 12, 13, 9, 1, 24)
    yield "old.bmp", _bitmap(old, 24, rng.integers(0, 256, (9, 40), np.uint8))


def _gifs() -> Iterator[tuple[str, bytes]]:
    photo = _photo()
    flat = photo.quantize(32)
    yield "palette.gif", _saved(flat, "GIF", interlace=1)
    yield "rows.gif", _saved(flat, "GIF", interlace=0)
    yield "grey.gif", _saved(photo.convert("L"), "GIF")
    yield "clear.gif", _saved(flat, "GIF", transparency=3)
    yield "256.gif", _saved(_photo(120, 90).quantize(256), "GIF")
    frames = [photo.transpose(Image.Transpose.ROTATE_180).quantize(16)]
    yield "animated.gif", _saved(flat, "GIF", save_all=True, append_images=frames)
    rows = bytearray(_saved(flat, "GIF", interlace=0))
    rows[6:10] = struct.pack("<HH", 50, 40)  # the screen is larger than the frame
    yield "framed.gif", bytes(rows)
    clear = bytearray(_saved(flat, "GIF", interlace=0, transparency=3))
    clear[6:10] = struct.pack("<HH", 50, 40)
    place = clear.index(b"\x2c\0\0\0\0") + 1
    clear[place : place + 4] = struct.pack("<HH", 5, 7)
    yield "framed-clear.gif", bytes(clear)


def _others() -> Iterator[tuple[str, bytes]]:
    photo = _photo()
    for mode, suffix in {"RGB": "ppm", "L": "pgm", "1": "pbm"}.items():
        yield f"plain.{suffix}", _saved(photo.convert(mode), "PPM")
    deep = np.random.default_rng(7).integers(0, 65536, (9, 13, 3)).astype(">u2")
    for most in (65535, 1023, 100):
        kind = ">u2" if most > 255 else np.uint8
        some = (deep.astype(np.int64) % (most + 1)).astype(kind)
        head = f" 13 9 {most}\n".encode()
        yield f"{most}.ppm", b"P6" + head + some.tobytes()
        yield f"{most}.pgm", b"P5" + head + some[..., 0].tobytes()
    yield (
        "comments.ppm",
        b"P6 # a comment\n13\n# one more\n9 255\n" + deep.astype(np.uint8).tobytes(),
    )
    yield "text.pgm", b"P2 2 2 255\n1 2 3 4\n"
    for mode in ("RGB", "L", "RGBA", "CMYK"):
        yield f"{mode.lower()}.tif", _saved(photo.convert(mode), "TIFF")


def _bad() -> Iterator[tuple[str, bytes]]:
    photo = _photo(60, 50)
    for kind, suffix in {
        "JPEG": "jpg",
        "PNG": "png",
        "WEBP": "webp",
        "BMP": "bmp",
        "GIF": "gif",
    }.items():
        data = _saved(photo, kind)
        for share in (0.1, 0.7, 0.97):
            yield f"bad-{share:g}.{suffix}", data[: int(len(data) * share)]
    yield "bad-progressive.jpg", _saved(photo, "JPEG", progressive=True)[:-40]
    yield "bad-empty.png", b""
    samples = np.full((11, 13, 1), 9)
    for bits in (4, 8, 16):  # streams that end in good order, a row or a pass too early
        row = 1 + -(-13 * bits // 8)
        yield f"bad-rows-{bits}.png", _png(samples, 0, bits, missing=row)
        yield f"bad-row-{bits}.png", _png(samples, 0, bits, missing=1)
        yield f"bad-pass-{bits}.png", _png(samples, 0, bits, interlaced=True, missing=5 * row)
    yield "bad-columns.png", _png(samples[:1], 0, 8, interlaced=True, missing=1 + 6)
    for packed in (None, "tiff_lzw"):
        tiff = _saved(photo, "TIFF", compression=packed, tiffinfo={278: 10})
        listed = struct.pack("<HHI", 273, 4, 5)
        place = tiff.index(listed)
        yield f"bad-strips-{packed}.tif", tiff[:place] + listed[:4] + b"\4" + tiff[place + 5 :]
    yield "bad-text.jpg", b"hello"
    side = int(MAX_PIXELS**0.5) + 1
    ppm = f"P6 {side} {side} 255\n".encode()
    yield "bad-large.ppm", ppm + bytes(100)
    png = bytearray(_saved(photo, "PNG"))
    png[16:24] = struct.pack(">II", side, side)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    yield "bad-large.png", bytes(png)
    jpeg = bytearray(_saved(photo, "JPEG"))
    place = jpeg.index(b"\xff\xc0") + 5
    jpeg[place : place + 4] = struct.pack(">HH", side, side)
    yield "bad-large.jpg", bytes(jpeg)
    gif = bytearray(_saved(photo.quantize(4), "GIF"))
    gif[6:10] = struct.pack("<HH", side, side)
    yield "bad-large.gif", bytes(gif)
    yield "bad-large.bmp", _bitmap(_bmp_header(side, side, 24), 24, np.zeros((1, 99), np.uint8))
    webp = bytearray(_saved(photo, "WEBP", exif=_exif(1)))
    webp[24:30] = (_TILTED - 1).to_bytes(3, "little") * 2
    yield "bad-large.webp", bytes(webp)


Found = Pixels | str
"""What a target made of a file: its pixels, or the line that says why not."""

NOT_PORTED = {
    "text.pgm": "netpbm file in plain text",
    **{
        f"{mode}.tif": "is a TIFF file, which is not read here"
        for mode in ("rgb", "l", "rgba", "cmyk")
    },
}
"""What Python alone reads, and the words that name it."""


NOT_IN_JAVASCRIPT = NOT_PORTED | {"framed.webp": "whose first frame is not the whole picture"}


def check(found: Mapping[str, Found], refused: Mapping[str, str]) -> None:
    """Compare what a target made of every file with Python.

    ``refused`` are the files that Python reads and the target does not, and words of the reason.
    """
    expected = python_pixels()
    assert found.keys() == expected.keys()
    wrong = []
    for name, pixels in expected.items():
        got = found[name]
        if name in refused:
            right = isinstance(got, str) and refused[name] in got
        elif pixels is None:
            right = isinstance(got, str)
            if name.startswith("bad-large"):
                right = right and re.search(rf"{MAX_PIXELS}|{MAX_PIXELS:,}", str(got)) is not None
        else:
            right = not isinstance(got, str) and np.array_equal(got, pixels)
        if not right:
            wrong.append((name, got if isinstance(got, str) else got.shape))
    assert wrong == [], wrong
    assert all((pixels is None) == name.startswith("bad-") for name, pixels in expected.items())
