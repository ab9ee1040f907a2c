"""Row groups of parquet files, with the encoded images in them."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from resnet_deploy.data.places import Place
from resnet_deploy.errors import (
    DatasetError,
    MissingDependencyError,
    ResnetDeployError,
    one_line,
)

INSTALL = "pip install 'resnet-deploy[data]'"

_COLUMNS = ("image", "img", "picture", "photo", "jpg", "png", "webp", "bytes", "content")
"""Names of columns with images; the first that is there counts."""

_MOST_BYTES = 1 << 30
"""Unpacked images of one row group, which is read at once."""

_KEPT = 4
"""Row groups in memory: one for each thread that decodes."""

_MOST_OPEN = 32
"""Files, each with what is read ahead."""

_LARGEST_KEPT = 128 << 20
"""Bytes of a row group of which several are kept."""


class RowGroups:
    """Reads the row groups of any files, and keeps some; several threads may ask at once.

    A copy in another process opens them anew.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: OrderedDict[Place, tuple[Any, str]] = OrderedDict()
        self._kept: OrderedDict[tuple[Place, int], list[bytes]] = OrderedDict()

    def __reduce__(self) -> tuple[Any, ...]:
        return RowGroups, ()

    def open(self, path: Place) -> tuple[Any, str]:
        """Return pyarrow's file, and the name of its column of images.

        Raises:
            DatasetError: it is damaged, or holds no images.
            MissingDependencyError: pyarrow is not installed.
        """
        if path not in self._opened:
            while len(self._opened) >= _MOST_OPEN:
                self._opened.popitem(last=False)
            with readable(path):
                given = path if isinstance(path, Path) else path.open("rb")
                file = _pyarrow().ParquetFile(given)
                self._opened[path] = file, _image_column(path, file.schema_arrow)
        return self._opened[path]

    def images(self, path: Place, group: int) -> list[bytes]:
        """Return the encoded images of a row group.

        Raises:
            DatasetError: it is damaged, too large, or does not hold the images.
        """
        with self._lock:
            key = path, group
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            file, column = self.open(path)
            size = file.metadata.row_group(group).total_byte_size
            if size > _MOST_BYTES:
                raise DatasetError(
                    f"{path} has a row group of {size >> 20} MiB, too large to read at once: write "
                    "it with smaller ones"
                )
            with readable(path):
                rows = file.read_row_group(group, [column])[column].to_pylist()
            images: list[Any] = [row.get("bytes") if isinstance(row, dict) else row for row in rows]
            claimed = file.metadata.row_group(group).num_rows
            if len(images) != claimed:
                raise DatasetError(
                    f"{path} has {len(images)} images where it claims {claimed}: it is damaged"
                )
            if not all(isinstance(image, bytes) for image in images):
                raise DatasetError(
                    f"{path} names images instead of holding them: name the folder of images"
                )
            while self._kept and (len(self._kept) >= _KEPT or size > _LARGEST_KEPT):
                self._kept.popitem(last=False)
            self._kept[key] = images
            return images


def _pyarrow() -> Any:
    try:
        return importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise MissingDependencyError(
            f"reading parquet needs the package pyarrow: {INSTALL}"
        ) from error


@contextlib.contextmanager
def readable(path: Place) -> Iterator[None]:
    """Turn whatever pyarrow makes of a damaged file into one line."""
    try:
        yield
    except ResnetDeployError:
        raise
    except Exception as error:
        raise DatasetError(f"{path} is a damaged parquet file: {one_line(error)}") from error


def _image_column(path: Place, schema: Any) -> str:
    """Return the name of the column with images: bytes, or structs with a field ``bytes``."""

    def holds_bytes(name: str) -> bool:
        kind = schema.field(name).type
        if str(kind).startswith("struct<"):
            return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
        return str(kind) in ("binary", "large_binary")

    found = [name for name in schema.names if holds_bytes(name)]
    wanted = [name for name in _COLUMNS if name in found] or found
    if not wanted:
        raise DatasetError(
            f"{path} is parquet without images: it has the columns {', '.join(schema.names[:5])}"
        )
    return wanted[0]
