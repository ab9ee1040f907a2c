"""The C interface of a native bundle, called from Python."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.native_toolchain import run, tool

BAD_ARGUMENT, BAD_IMAGE, BAD_BUNDLE = -1, -2, -3

Pixels = NDArray[np.uint8]


class CallError(Exception):
    """What ``resnet_last_error`` says, and the code that the call returned."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Prediction:
    """One class that the classifier named."""

    index: int
    score: float
    probability: float
    label: str


class _Options(ctypes.Structure):
    _fields_ = (
        ("threads", ctypes.c_int32),
        ("spin", ctypes.c_int32),
        ("model", ctypes.c_char_p),
        ("runtime", ctypes.c_char_p),
        ("xnnpack", ctypes.c_int32),
    )


class _Picture(ctypes.Structure):
    _fields_ = (
        ("rgb", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("width", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("stride", ctypes.c_size_t),
    )


class _Prediction(ctypes.Structure):
    _fields_ = (
        ("index", ctypes.c_int32),
        ("score", ctypes.c_float),
        ("probability", ctypes.c_float),
        ("label", ctypes.c_char_p),
    )


def shared_library(static: Path, target: Path, *folders: Path) -> Path:
    """Make ``target`` of the static library that CMake built, without compiling again.

    It finds runtimes in ``folders``.
    """
    whole = ("-Wl,--whole-archive", str(static), "-Wl,--no-whole-archive")
    paths = (f"-Wl,-rpath,{folder}" for folder in folders)
    libraries = ("-ldl", "-pthread")
    command = [tool("g++", "g++"), "-shared", *whole, *paths, *libraries, "-o", str(target)]
    run(command, target.parent)
    return target


class NativeClassifier:
    """One classifier behind the C interface in ``library``; sleeping threads, one by default."""

    def __init__(
        self,
        library: Path,
        folder: Path | None = None,
        *,
        files: tuple[bytes, bytes] | None = None,
        threads: int = 1,
        runtime: str | None = None,
    ) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.resnet_last_error.restype = ctypes.c_char_p
        for name in ("label", "runtime", "notice"):
            getattr(self._library, f"resnet_{name}").restype = ctypes.c_char_p
        self._handle = ctypes.c_void_p()
        options = ctypes.byref(_Options(threads, 0, None, runtime.encode() if runtime else None))
        if files is not None:
            model, labels = files
            arguments = (model, ctypes.c_size_t(len(model)), labels, ctypes.c_size_t(len(labels)))
            opened = self._library.resnet_open_memory
        else:
            arguments = (str(folder).encode(),)  # type: ignore[assignment]
            opened = self._library.resnet_open
        self._check(opened(*arguments, options, ctypes.byref(self._handle)))

    def classify(self, picture: Pixels, k: int = 1, **wrong: int) -> list[Prediction]:
        """Return the best classes of an RGB picture; ``wrong`` replaces its size."""
        top = (_Prediction * max(k, 1))()
        found = ctypes.c_int32()
        self._check(
            self._library.resnet_classify(
                *self._picture(picture, **wrong), ctypes.c_int32(k), top, ctypes.byref(found)
            )
        )
        return _predictions(top[: found.value])

    def classify_batch(self, pictures: Sequence[Pixels], k: int = 1) -> list[list[Prediction]]:
        """Return the best classes of each RGB picture, of one call."""
        dense = [np.ascontiguousarray(picture) for picture in pictures]
        given = (_Picture * len(dense))(
            *(
                _Picture(pixels.ctypes.data, pixels.size, pixels.shape[1], pixels.shape[0], 0)
                for pixels in dense
            )
        )
        top = (_Prediction * (len(dense) * k))()
        found = ctypes.c_int32(-1)
        code = self._library.resnet_classify_batch(
            self._handle,
            given,
            ctypes.c_size_t(len(dense)),
            ctypes.c_int32(k),
            top,
            ctypes.byref(found),
        )
        assert code == 0 or found.value == 0
        self._check(code)
        return [_predictions(top[i * k : i * k + found.value]) for i in range(len(dense))]

    def outputs(
        self, picture: Pixels, *, count: int | None = None, less: int = 0
    ) -> dict[str, NDArray[np.float32]]:
        """Return all outputs by name. ``less``: the last one gets so much less room."""
        self._library.resnet_output_name.restype = ctypes.c_char_p
        every = self._library.resnet_output_count(self._handle)
        names = [self._library.resnet_output_name(self._handle, i).decode() for i in range(every)]
        found = [np.empty(self.output_shape(i), np.float32) for i in range(every)]
        sizes = [values.size for values in found]
        sizes[-1] -= less
        self._check(
            self._library.resnet_outputs(
                *self._picture(picture),
                (ctypes.c_void_p * every)(*(values.ctypes.data for values in found)),
                (ctypes.c_size_t * every)(*sizes),
                ctypes.c_int32(every if count is None else count),
            )
        )
        return dict(zip(names, found, strict=True))

    def output_shape(self, index: int) -> tuple[int, ...]:
        """Return the shape of an output for one picture."""
        shape, rank = (ctypes.c_int64 * 8)(), ctypes.c_size_t()
        self._check(
            self._library.resnet_output_shape(
                self._handle, ctypes.c_int32(index), shape, ctypes.c_size_t(8), ctypes.byref(rank)
            )
        )
        return tuple(shape[: rank.value])

    def scores(self, picture: Pixels) -> NDArray[np.float32]:
        """Return the network's first output."""
        return next(iter(self.outputs(picture).values()))

    @property
    def runtime(self) -> str:
        """What runs the network."""
        said: bytes = self._library.resnet_runtime(self._handle)
        return said.decode()

    @property
    def notice(self) -> str:
        """Why that is not the first choice."""
        said: bytes = self._library.resnet_notice(self._handle)
        return said.decode()

    def label(self, index: int) -> str | None:
        """Return the name of a class; None where there is none."""
        text: bytes | None = self._library.resnet_label(self._handle, ctypes.c_int32(index))
        return None if text is None else text.decode()

    def close(self) -> None:
        """Free the classifier."""
        self._library.resnet_close(self._handle)

    def _picture(self, picture: Pixels, **wrong: int) -> tuple[Any, ...]:
        height, width = (int(side) for side in picture.shape[:2])
        return (
            self._handle,
            np.ascontiguousarray(picture).ctypes.data_as(ctypes.c_void_p),
            ctypes.c_size_t(wrong.get("size", picture.size)),
            ctypes.c_int32(wrong.get("width", width)),
            ctypes.c_int32(wrong.get("height", height)),
            ctypes.c_size_t(wrong.get("stride", 0)),
        )

    def _check(self, code: int) -> None:
        if code != 0:
            raise CallError(code, self._library.resnet_last_error().decode())


def _predictions(found: Iterable[Any]) -> list[Prediction]:
    return [
        Prediction(named.index, named.score, named.probability, named.label.decode())
        for named in found
    ]
