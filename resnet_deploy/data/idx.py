"""IDX files, the format of MNIST, Fashion-MNIST and EMNIST, plain or gzipped.

Format: magic ``00 00 TT DD`` (type, number of dimensions), DD sizes as big-endian uint32, then
the values; from http://yann.lecun.com/exdb/mnist/
"""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_deploy.data.arrays import ArrayDataset, array_dataset
from resnet_deploy.data.bombs import check_unpacked
from resnet_deploy.errors import DatasetError

_IMAGES = re.compile(r"images?[-._]idx[34]-ubyte(\.gz)?$")
_TEST, _TRAIN = re.compile(r"t10k|test|val"), re.compile(r"train")

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_BYTES = 8 << 30
"""More than any published IDX file; a gzip that claims more is a bomb."""

_DEFLATE_RATIO = 1032
"""To how many bytes one of deflate unpacks at most: memory is asked for before values are read."""


def is_idx_folder(folder: Path) -> bool:
    """Whether ``folder`` holds IDX files of images."""
    return bool(_image_files(folder))


def open_idx(path: Path, *, train: bool = False) -> ArrayDataset:
    """Open an IDX file of images and the labels beside it, or a folder of them.

    In a folder the test images are meant (``t10k-images-idx3-ubyte``), or with ``train`` the
    training images. Images are ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)``. Without a
    labels file the images are unlabelled.

    Raises:
        DatasetError: no IDX file, damaged, or counts that differ.
    """
    file = _choose(path, train=train) if path.is_dir() else path
    images = _read(file)
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise DatasetError(
            f"{file} holds {images.dtype} values of shape {list(images.shape)}: an IDX file of "
            "images holds uint8 (N, H, W); name the images file, not the labels"
        )
    labels_file = _labels_file(file)
    labels = None if labels_file is None else _read(labels_file)
    return array_dataset(file.name, images, labels)


def _image_files(folder: Path) -> list[Path]:
    """Return the files of images in ``folder``; of x and x.gz, the same images, only x.

    A pipe is none: whoever opens it waits.
    """
    files = sorted(f for f in folder.iterdir() if _IMAGES.search(f.name) and f.is_file())
    return [f for f in files if f.suffix != ".gz" or not f.with_suffix("").is_file()]


def _choose(folder: Path, *, train: bool) -> Path:
    files = _image_files(folder)
    wanted = _TRAIN if train else _TEST
    matching = [file for file in files if wanted.search(file.name)] or files
    if len(matching) > 1:
        names = ", ".join(file.name for file in matching)
        raise DatasetError(f"{folder} holds several IDX image files ({names}): name one of them")
    if not train and _TRAIN.search(matching[0].name):
        raise DatasetError(
            f"{folder} holds no test images (t10k-images-idx3-ubyte): name the images file"
        )
    return matching[0]


def _labels_file(images: Path) -> Path | None:
    """Return the labels beside ``images``; either may be gzipped."""
    name = re.sub(r"idx[34]", "idx1", images.name.replace("image", "label"))
    if name == images.name:
        return None
    plain = name.removesuffix(".gz")
    found = (images.with_name(candidate) for candidate in (name, plain, f"{plain}.gz"))
    return next((file for file in found if file.is_file()), None)


def _read(path: Path) -> NDArray[Any]:
    with path.open("rb") as stream:
        zipped = stream.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if zipped else path.open("rb") as stream:
            dtype, shape = _header(path, stream.read(4), stream)
            # Of no pictures, too, one has a size.
            claimed = dtype.itemsize * math.prod(max(1, length) for length in shape)
            if claimed > _MAX_BYTES:
                raise DatasetError(f"{path} claims {claimed >> 30} GB of values: it is damaged")
            size, held = dtype.itemsize * math.prod(shape), path.stat().st_size
            check_unpacked(str(path), size if zipped else 0, held)
            if size > held * (_DEFLATE_RATIO if zipped else 1):
                raise DatasetError(
                    f"{path} is cut short ({size} bytes of values expected): get it again"
                )
            # One byte more than needed tells a file that is too long.
            data = stream.read(size + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile, MemoryError) as error:
        raise DatasetError(f"{path} is a damaged gzip file: download it again") from error
    if len(data) != size:
        state = "cut short" if len(data) < size else "longer than it claims"
        raise DatasetError(f"{path} is {state} ({size} bytes of values expected): get it again")
    return np.frombuffer(data, dtype=dtype).reshape(shape)


def _header(path: Path, magic: bytes, stream: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
    known = len(magic) == 4 and magic[:2] == b"\0\0" and magic[2] in _DTYPES
    if not known or not 1 <= magic[3] <= 4:
        raise DatasetError(f"{path} is not an IDX file (it starts with {magic.hex(' ')})")
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise DatasetError(f"{path} is cut short inside its header: get it again")
    return np.dtype(_DTYPES[magic[2]]), struct.unpack(f">{magic[3]}I", sizes)
