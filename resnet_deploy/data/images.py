"""Decoding one image file into RGB, or RGBA where it is transparent, whatever it was saved as.

A little long: what is kept off Pillow and off libtiff stands beside the call that needs it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import io
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, UnidentifiedImageError

from resnet_deploy.data.missing_pixels import check_rows, check_strips
from resnet_deploy.data.places import Place
from resnet_deploy.errors import DatasetError, one_line

_USUAL = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM", "GIF")

_SUFFIX = re.compile(r"\.(jpe?g|jpe|jfif|a?png|bmp|webp|tiff?|p[bgpn]m|gif)", re.IGNORECASE)
"""Names of the usual formats: they are taken for images without a look inside."""

_NOT_READ = frozenset(("EPS", "WMF", "PDF", "MPEG", "BUFR", "GRIB", "HDF5", "FITS", "IPTC", "PCD"))
"""What Pillow knows and is not asked for: EPS starts Ghostscript, FITS unpacks gzip of any size,
and the others are not images or have no decoder."""

_TEXT = re.compile(
    r"\.(txt|[ct]sv|jsonl?|xml|html?|md|ya?ml|py|parquet|np[yz]|tar|zip)", re.IGNORECASE
)
"""Names that are not worth a look inside: thousands of annotations lie beside some datasets."""

_CERTAIN = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP", re.DOTALL)
"""The heads of the formats of nearly all images, that nothing else begins with."""

MAX_PIXELS = 178_956_970
"""The most pixels of a picture that is decoded or prepared, here and in every bundle.

Beyond it Pillow refuses to decode: a file of a few bytes can claim any size.
"""

_STRIP_PIXELS = 1 << 20

_HEAD = 16
"""Bytes that Pillow's formats are told by."""

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""From EXIF 2.32 section 4.6.4, tag Orientation, to what makes the image upright."""

_warnings_lock = threading.Lock()


def read_image(path: Place) -> Image.Image:
    """Return the image in ``path`` as 8-bit RGB, or RGBA where it has transparency, upright.

    The EXIF orientation is applied. Grey, palette and CMYK become RGB; 16-bit grey keeps its
    upper 8 bits, rounded. :func:`to_rgb` lays transparent pixels on white.
    Of an animation the first frame counts.

    Raises:
        DatasetError: the file is missing, truncated, no image, has more than :data:`MAX_PIXELS`,
            or holds pixels that have no obvious RGB value, or its server does not answer.
    """
    if isinstance(path, Path) and not path.is_file():
        raise DatasetError(f"{path} {'is not a file' if path.exists() else 'does not exist'}")
    # What a server answers is no damage of the picture.
    data = b"" if isinstance(path, Path) else path.read_bytes()
    try:
        with _Bounded(path) if isinstance(path, Path) else io.BytesIO(data) as stream:
            return decode(stream)
    except Exception as error:  # a broken file can make Pillow raise almost anything
        raise DatasetError(
            f"cannot read image {path}: {why_unread(error)}; replace or remove it"
        ) from error


def decode(stream: IO[bytes]) -> Image.Image:
    """Return the image in ``stream`` as :func:`read_image` does.

    Raises:
        Exception: of almost any kind, if the bytes are not an image that can be read.
    """
    with _pillow_silenced():
        image = _opened(stream)
    # Pillow's own limit can be changed by whoever imports it.
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError
    check_strips(image)
    # Only the TIFF decoder warns while decoding; the others may run side by side.
    with _tiff_silenced() if image.format == "TIFF" else contextlib.nullcontext():
        image.load()
    check_rows(image, stream)
    # After load(): the TIFF decoder has by then turned the image itself.
    turn = _UPRIGHT.get(_orientation(image))
    pixels = to_pixels(image)
    del image  # of the largest pictures, each copy takes 700 MB
    return pixels if turn is None else pixels.transpose(turn)


def is_image(path: Path) -> bool:
    """Whether ``path``, a file, counts as an image: by its suffix, or else by what is inside.

    A file with the suffix of an image counts although it may be damaged: that is an error to
    tell, when it is read.
    """
    if has_image_suffix(path.name):
        return True
    # A pipe must not be opened: nobody may ever write into it.
    if _TEXT.fullmatch(path.suffix) or not path.is_file():
        return False
    formats = _other_formats()
    try:
        with _Bounded(path) as stream:
            head = stream.read(_HEAD)
            if _CERTAIN.match(head):
                return True
            if not any(_begins(head, name) for name in (*_USUAL, *formats)):
                return False
            stream.seek(0)
            with _pillow_silenced():
                _opened(stream)
    except Exception:  # as in decode()
        return False
    return True


class _Bounded(io.BufferedReader):
    """The file ``path``; no more is read than it holds.

    Python makes room for all that is asked for, and formats say how long their parts are: up to
    4 GB in a file of 300 bytes.
    """

    def __init__(self, path: Path) -> None:
        raw = path.open("rb", buffering=0)
        super().__init__(raw)
        self._size = os.fstat(raw.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next ``size`` bytes, or all that there are."""
        return super().read(size if size is None else min(size, self._size))


def has_image_suffix(name: str) -> bool:
    """Whether a file of this name counts as an image without a look inside."""
    suffix = os.path.splitext(name)[1]  # noqa: PTH122 - a Path takes ten times as long
    if _SUFFIX.fullmatch(suffix) or _TEXT.fullmatch(suffix):
        return _SUFFIX.fullmatch(suffix) is not None
    formats = _other_formats()
    return Image.registered_extensions().get(suffix.lower()) in (*_USUAL, *formats)


def _opened(stream: IO[bytes]) -> Image.Image:
    """Read the header; the rare formats cost Pillow a tenth of a second to import."""
    try:
        return Image.open(stream, formats=_USUAL)
    except UnidentifiedImageError:
        stream.seek(0)
        return Image.open(stream, formats=_other_formats())


@functools.cache
def _other_formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in Image.OPEN if name not in _NOT_READ and name not in _USUAL)


def _begins(head: bytes, name: str) -> bool:
    """Whether a file with this head can be of a format; one that no head tells is not looked for.

    Pillow's checks answer with a text, which says why not, where a decoder is not built in.
    """
    accept = Image.OPEN[name][1]
    try:
        return accept is not None and accept(head) is True
    except Exception:  # some look for bytes that a short file has not
        return False


def to_pixels(image: Image.Image) -> Image.Image:
    """Return ``image`` in mode RGB, or in RGBA where it has transparency.

    Raises:
        ValueError: a pixel format without an obvious RGB value, such as 32-bit floats.
    """
    if image.mode.startswith("I"):
        return _from_16_bit(image).convert("RGB")
    if image.mode == "F":
        raise ValueError("its pixels are 32-bit floats of unknown range")
    wanted = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return ``image`` in mode RGB, transparent pixels laid on white, as most viewers show them.

    Raises:
        ValueError: as :func:`to_pixels`.
    """
    image = to_pixels(image)
    if image.mode == "RGB":
        return image
    flat = Image.new("RGB", image.size)
    for box in _strips(image.size):
        strip = image.crop(box)
        white = Image.new("RGBA", strip.size, "white")
        flat.paste(Image.alpha_composite(white, strip).convert("RGB"), box[:2])
    return flat


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Scale 0..65535 to 0..255; Pillow's own conversion clips at 255 or drops bits."""
    grey = Image.new("L", image.size)
    for box in _strips(image.size):
        values = np.asarray(image.crop(box)).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("its pixels are 32-bit integers of unknown range")
        strip = Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
        grey.paste(strip, box[:2])
    return grey


def _strips(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Yield boxes over the whole image, so that what is computed on the way stays small."""
    width, height = size
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        yield 0, top, width, min(height, top + rows)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, or 1 (upright) where there is none that can be read."""
    try:
        with _pillow_silenced():
            value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # damaged metadata does not spoil the image
        return 1
    return value if isinstance(value, int) else 1


@contextlib.contextmanager
def _pillow_silenced() -> Iterator[None]:
    """Silence Pillow's warnings about odd metadata; what matters, it raises.

    ``catch_warnings`` changes the whole process, so only one thread may be inside.
    """
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _tiff_silenced() -> Iterator[None]:
    """Silence Pillow's warnings, and libtiff, which prints what is wrong with a file on stderr.

    Pillow has no word for that; where its modules do not tell of libtiff's functions, as on
    Windows, the lines are printed.
    """
    with _pillow_silenced(), contextlib.ExitStack() as stack:
        for setter in _libtiff_setters():
            stack.callback(setter, setter(None))
        yield


@functools.cache
def _libtiff_setters() -> tuple[Callable[[int | None], int | None], ...]:
    """Return the functions that set who hears libtiff's errors and warnings, and who did."""
    try:
        library = ctypes.CDLL(sys.modules["PIL._imaging"].__file__)
        setters = (library.TIFFSetErrorHandler, library.TIFFSetWarningHandler)
    except (AttributeError, OSError):
        return ()
    for setter in setters:
        setter.restype, setter.argtypes = ctypes.c_void_p, (ctypes.c_void_p,)
    return setters


def why_unread(error: Exception) -> str:
    """Return in words why :func:`decode` raised ``error``."""
    if isinstance(error, UnidentifiedImageError):
        return "it is not a JPEG, PNG or other format that Pillow reads here, or it is damaged"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than {MAX_PIXELS:,} pixels, which is not safe to decode"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return one_line(error)
