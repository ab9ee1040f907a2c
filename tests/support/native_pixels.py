"""The C++ preprocessing of bundles, called from Python with any specification."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.spec import ChannelOrder, InputContract, InputFormat, ResizeMode
from resnet_deploy.spec.input_words import INTERPOLATIONS
from tests.support.native_toolchain import NATIVE_TEMPLATES, run, tool

# The enumerations of C++ are in the order of Python's.
_MODES, _ORDERS, _FORMATS = tuple(ResizeMode), tuple(ChannelOrder), tuple(InputFormat)
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
        shape = (height, width, spec.channels) if spec.resize_in_graph else spec.shape
        made = np.empty(shape, np.float32 if spec.format.is_float else np.uint8)
        numbers = (
            *(spec.height, spec.width, *spec.resize),
            _MODES.index(spec.resize_mode),
            INTERPOLATIONS.index(spec.interpolation),
            _ORDERS.index(spec.channel_order),
            _FORMATS.index(spec.format),
            int(spec.resize_in_graph),
        )
        unused = (0.0,) * (3 - spec.channels)
        values = (spec.divisor, spec.range[0], *spec.mean, *unused, *spec.std, *unused)
        size = (height - 1) * stride + width * 3 if stride else pixels.size
        written = self._prepare(
            pixels.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_long(size),
            ctypes.c_int(width),
            ctypes.c_int(height),
            ctypes.c_long(stride),
            (ctypes.c_int * len(numbers))(*numbers),
            (ctypes.c_float * len(values))(*values),
            made.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_long(made.nbytes),
        )
        return made if written == made.nbytes else None
