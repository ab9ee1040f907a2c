"""Row groups of parquet files, with the encoded images in them."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from resnet_deploy.data.parquet_pages import CheckedColumns
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

_BYTES = ("binary", "large_binary")

_MOST_BYTES = 1 << 29
"""Unpacked images of one row group, which is read at once."""

_MOST_LABEL_BYTES = 1 << 26
"""Unpacked labels of one row group."""

_NUMBERS, _TEXTS, _IMAGES = 1 << 16, 16, 1
"""Rows of one step of reading. A value that is stored once, in a dictionary or as the beginning of
others, may be that of all rows, and no size that a file claims is a bound for them."""

LONGEST_LABEL = 1000
"""Letters of the name of a class."""

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
        self._opened: OrderedDict[Place, tuple[RowGroupFile, str]] = OrderedDict()
        self._kept: OrderedDict[tuple[Place, int], list[bytes]] = OrderedDict()

    def __reduce__(self) -> tuple[Any, ...]:
        return RowGroups, ()

    def open(self, path: Place) -> tuple[RowGroupFile, str]:
        """Return the file, and the name of its column of images.

        Raises:
            DatasetError: it is damaged, or holds no images.
            MissingDependencyError: pyarrow is not installed.
        """
        if path not in self._opened:
            while len(self._opened) >= _MOST_OPEN:
                self._opened.popitem(last=False)
            with readable(path):
                file = RowGroupFile(path)
                self._opened[path] = file, _image_column(path, file.schema)
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
                raise _too_large(path, size)
            images: list[Any] = []
            unpacked = 0
            with readable(path):
                for row in file.rows(group, column, step=_IMAGES, most=_MOST_BYTES):
                    images.append(row.get("bytes") if isinstance(row, dict) else row)
                    unpacked += len(images[-1] or b"")
                    if unpacked > _MOST_BYTES:
                        raise _too_large(path, unpacked)
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


class RowGroupFile:
    """An open parquet file.

    Args:
        path: it.

    Attributes:
        metadata: pyarrow's ``FileMetaData``.
        schema: pyarrow's ``Schema``.

    Raises:
        MissingDependencyError: pyarrow is not installed.
        Exception: the file is damaged; anything that pyarrow raises.
    """

    def __init__(self, path: Place) -> None:
        pyarrow = _pyarrow()
        self._stream = CheckedColumns(path.open("rb"))
        self._file = pyarrow.ParquetFile(self._stream)
        self.metadata, self.schema = self._file.metadata, self._file.schema_arrow

    def rows(self, group: int, column: str, *, step: int, most: int) -> Iterator[Any]:
        """Yield the rows of a ``column``, ``step`` at a time, that unpacks to ``most`` bytes.

        Raises:
            Exception: the file is damaged; anything that pyarrow raises.
        """
        count = self.metadata.row_group(group).num_rows
        if not count:
            return  # its columns may begin anywhere: pyarrow writes that they do at 0
        # Of structs the bytes alone: what else is in them may be of any size.
        leaf = self.schema.field(column).type
        name = f"{column}.bytes" if str(leaf).startswith("struct<") else column
        self._stream.only_columns(most, count)
        for batch in self._file.iter_batches(step, row_groups=[group], columns=[name]):
            yield from batch.column(0).to_pylist()


def labels_in(path: Place, file: RowGroupFile, column: str) -> list[Any]:
    """Return the labels in a ``column`` of a ``file``: numbers, names, or None.

    Raises:
        DatasetError: they are of a kind that no label has, or too long for a name.
    """
    arrow = importlib.import_module("pyarrow")
    kind = file.schema.field(column).type
    if arrow.types.is_dictionary(kind):
        kind = kind.value_type
    text = arrow.types.is_string(kind) or arrow.types.is_large_string(kind)
    if not text and not arrow.types.is_null(kind) and not arrow.types.is_primitive(kind):
        raise DatasetError(
            f"{path} has labels of the kind {one_line(str(kind), 40)}: a label is a number or a "
            "name"
        )
    found: list[Any] = []
    shared: dict[Any, Any] = {}  # names are those of a few classes
    for group in range(file.metadata.num_row_groups):
        step = _TEXTS if text else _NUMBERS
        for label in file.rows(group, column, step=step, most=_MOST_LABEL_BYTES):
            if isinstance(label, str) and len(label) > LONGEST_LABEL:
                raise DatasetError(
                    f"{path} has a label of {len(label)} letters: a name has {LONGEST_LABEL} at "
                    "most"
                )
            found.append(shared.setdefault(label, label))
    return found


def _too_large(path: Place, size: int) -> DatasetError:
    return DatasetError(
        f"{path} has a row group of {size >> 20} MiB, too large to read at once: write it with "
        "smaller ones"
    )


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
            fields = (kind.field(place) for place in range(kind.num_fields))
            return any(one.name == "bytes" and str(one.type) in _BYTES for one in fields)
        return str(kind) in _BYTES

    found = [name for name in schema.names if holds_bytes(name)]
    wanted = [name for name in _COLUMNS if name in found] or found
    if not wanted:
        raise DatasetError(
            f"{path} is parquet without images: it has the columns "
            f"{one_line(', '.join(schema.names[:5]))}"
        )
    return wanted[0]
