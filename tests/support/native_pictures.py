"""The C++ decoders of picture files, called from Python."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from tests.support.native_toolchain import NATIVE_TEMPLATES, STRICT, run, tool
from tests.support.picture_files import Found

LIBRARIES: Final = {
    "JPEG": ("-ljpeg",),
    "PNG": ("-lpng", "-lz"),
    "WEBP": ("-lwebpdemux", "-lwebp"),
}

_SOURCE = Path(__file__).parents[1] / "e2e/native/pictures.cpp"


def compile_decoders(folder: Path, formats: Sequence[str] = tuple(LIBRARIES)) -> Path:
    """Return the shared library, built in ``folder`` with the libraries of ``formats``."""
    made = folder / "libpictures.so"
    templates = (NATIVE_TEMPLATES.parent / "cpp", NATIVE_TEMPLATES)
    command = [tool("g++", "g++"), "-std=c++17", "-O1", *STRICT.split(), "-shared", "-fPIC"]
    command += [f"-DRESNET_HAS_{name}" for name in formats]
    command += [*(f"-I{place / 'include'}" for place in templates), str(_SOURCE)]
    run(
        [*command, "-o", str(made), *(flag for name in formats for flag in LIBRARIES[name])], folder
    )
    return made


def compiled(folder: Path, formats: Sequence[str] = tuple(LIBRARIES)) -> Callable[[bytes], Found]:
    """Return the decoder of :func:`compile_decoders`."""
    loaded = ctypes.CDLL(str(compile_decoders(folder, formats)))
    loaded.decode_picture.restype = ctypes.c_bool
    loaded.picture_error.restype = ctypes.c_char_p

    def read(data: bytes) -> Found:
        size = (ctypes.c_int * 2)()
        if not loaded.decode_picture(data, ctypes.c_size_t(len(data)), size):
            return str(loaded.picture_error().decode())
        pixels = np.empty((size[1], size[0], 3), np.uint8)
        loaded.picture_pixels(pixels.ctypes.data_as(ctypes.c_void_p))
        return pixels

    return read
