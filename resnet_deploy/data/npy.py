"""Arrays in numpy's ``.npy`` format, alone or in an ``.npz`` archive, bounded before they are read.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import io
import math
import sys
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.data.bombs import check_unpacked
from resnet_deploy.errors import DatasetError, one_line

_SUFFIX = ".npy"

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
"""Version 3.0 is for names of fields in other alphabets, which no array of numbers has."""

_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What numpy writes. A header of LZMA claims gigabytes for a few bytes."""


class NpzFile:
    """The arrays of an ``.npz`` archive by name; each is read when it is asked for.

    Args:
        path: of the archive.
        data: its bytes, where they are in no file; ``path`` is what messages call it.

    Raises:
        DatasetError: the archive, or the array that is asked for, is damaged or a bomb.
    """

    def __init__(self, path: Path, data: bytes | None = None) -> None:
        self._path = path
        try:
            self._size = path.stat().st_size if data is None else len(data)
            self._archive = zipfile.ZipFile(path if data is None else io.BytesIO(data))
        except Exception as error:  # zipfile raises whatever struct, zlib and the codecs do
            raise _damaged(path, error) from error
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in self._archive.infolist():
            name = info.filename.removesuffix(_SUFFIX)
            if name != info.filename and self._members.setdefault(name, info) is not info:
                raise DatasetError(f"{path} holds {name[:40]!r} twice: save each array once")

    def __enter__(self) -> NpzFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the arrays, in the order of the archive."""
        return tuple(self._members)

    def first(self, names: tuple[str, ...], most: int | None = None) -> NDArray[Any] | None:
        """Return the first array of ``names`` there is, or None.

        It may unpack to ``most`` bytes; None: as far as pictures do.
        """
        name = next((name for name in names if name in self._members), None)
        if name is None:
            return None
        info = self._members[name]
        if info.compress_type not in _PACKINGS:
            raise DatasetError(
                f"{self._path}: {name!r:.80} is packed otherwise than numpy does: save plain "
                "arrays with numpy.savez"
            )
        held = min(info.compress_size, self._size)  # both are claims of the archive
        check_unpacked(f"{self._path}: {name!r:.80}", info.file_size, held)
        if most is not None and info.file_size > most:
            raise DatasetError(
                f"{self._path}: {name!r} has {info.file_size} bytes, of at most {most}"
            )
        try:
            with self._archive.open(info) as stream:
                return _read(stream, info.file_size)
        except Exception as error:  # numpy's parser of the header raises what Python's does
            raise _damaged(self._path, error) from error


def read_npy(path: Path, data: bytes | None = None) -> NDArray[Any]:
    """Return the array in ``path``, or in ``data``, which was read from there.

    Raises:
        DatasetError: it is no ``.npy`` file of numbers or texts, or damaged.
    """
    try:
        if data is not None:
            return _read(io.BytesIO(data), len(data))
        with path.open("rb") as stream:
            return _read(stream, path.stat().st_size)
    except Exception as error:  # as above
        raise _damaged(path, error) from error


def _read(stream: IO[bytes], size: int) -> NDArray[Any]:
    """Return the array in ``stream``, of ``size`` bytes; its header says how much is allocated."""
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"version {version[0]}.{version[1]} of the format is not read here")
    shape, _, dtype = _HEADERS[version](stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    claimed = dtype.itemsize * math.prod(int(length) for length in shape)
    if min(shape, default=0) < 0 or claimed > size:
        raise ValueError(f"it claims {claimed} bytes of values in {size}")
    stream.seek(0)
    array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    if array.dtype.kind == "U" and array.size and array.itemsize:
        # NumPy does not look at them before it makes a text of them, and then raises another error.
        letters = np.ascontiguousarray(array).reshape(-1).view(array.dtype.byteorder + "u4")
        if letters.max() > sys.maxunicode:
            raise ValueError("it holds texts of letters that there are none of")
    return array


def _damaged(path: Path, error: Exception) -> DatasetError:
    if isinstance(error, MemoryError):
        return DatasetError(f"{path} can't be unpacked: there is not enough memory")
    if isinstance(error, OSError) and error.strerror:
        return DatasetError(f"cannot read {path}: {error.strerror}")
    kind = path.suffix or _SUFFIX
    how = "plain arrays with numpy.savez" if kind == ".npz" else "a plain array with numpy.save"
    return DatasetError(f"{path} is not a readable {kind} file ({one_line(error)}): save {how}")
