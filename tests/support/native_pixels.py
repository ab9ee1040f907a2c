"""The C++ preprocessing of bundles, called from Python with any specification."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.spec import InputContract, InputFormat
from tests.support.native_toolchain import NATIVE_TEMPLATES, run, tool

_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")
_FORMATS = tuple(InputFormat)
_SOURCE = Path(__file__).parents[1] / "e2e/native/pixels.cpp"


class NativePixels:
    """Compiles the headers into ``folder``."""

    def __init__(self, folder: Path) -> None:
        library = folder / "libpixels.so"
        flags = ("-std=c++17", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror")
        includes = ("-I", str(NATIVE_TEMPLATES / "include"))
        run(
            [
                tool("g++", "g++"),
                *flags,
                *includes,
                "-shared",
                "-fPIC",
                str(_SOURCE),
                "-o",
                str(library),
            ],
            folder,
        )
        self._prepare = ctypes.CDLL(str(library)).prepare
        self._prepare.restype = ctypes.c_long

    def prepare(
        self, pixels: NDArray[np.uint8], spec: InputContract, stride: int = 0
    ) -> NDArray[Any] | None:
        """Return what ``resnet_deploy.data.preprocess.prepare`` returns; None: an error.

        ``pixels`` is ``(H, W, 3)``, its rows ``stride`` bytes apart (0: dense).
        """
        height, width, _ = pixels.shape
        shape = pixels.shape if spec.resize_in_graph else spec.shape
        dtype = np.float32 if spec.format is InputFormat.FLOAT_NCHW else np.uint8
        made = np.empty(shape, dtype)
        three = ctypes.c_float * 3
        size = (height - 1) * stride + width * 3 if stride else pixels.size
        written = self._prepare(
            pixels.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_long(size),
            ctypes.c_int(width),
            ctypes.c_int(height),
            ctypes.c_long(stride),
            ctypes.c_int(spec.resize[0]),
            ctypes.c_int(spec.height),
            ctypes.c_int(_INTERPOLATIONS.index(spec.interpolation)),
            ctypes.c_int(_FORMATS.index(spec.format)),
            ctypes.c_int(spec.resize_in_graph),
            three(*spec.mean),
            three(*spec.std),
            made.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_long(made.nbytes),
        )
        return made if written == made.nbytes else None
