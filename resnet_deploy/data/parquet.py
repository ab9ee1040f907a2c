"""Datasets in parquet with the images inside, as Hugging Face publishes them.

https://huggingface.co/docs/datasets/image_dataset: a column of structs with ``bytes`` and ``path``,
a column of class indices, and their names in the metadata of the schema.
"""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import importlib
import io
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from resnet_deploy.artifact.files import sha256_of
from resnet_deploy.data.images import decode
from resnet_deploy.data.labels import class_order
from resnet_deploy.data.places import Place
from resnet_deploy.data.splits import of_part
from resnet_deploy.data.trees import files_called
from resnet_deploy.errors import (
    DatasetError,
    MissingDependencyError,
    ResnetDeployError,
    one_line,
)
from resnet_deploy.plain_values import RefusedValuesError, strict_json

INSTALL = "pip install 'resnet-deploy[data]'"

_MAGIC = b"PAR1"
_IMAGES = ("image", "img", "picture", "photo", "jpg", "png", "webp", "bytes", "content")
_LABELS = ("label", "labels", "fine_label", "class", "category", "target", "cls", "y")
"""Names of columns; the first that is there counts."""

_MOST_BYTES = 1 << 30
"""Unpacked images of one row group, which is read at once."""

_KEPT = 4
"""Row groups in memory: one for each thread that decodes."""

_LARGEST_KEPT = 128 << 20
"""Bytes of a row group of which several are kept."""


def parquet_files(folder: Place) -> tuple[Place, ...]:
    """Return the parquet files in ``folder``, or in a folder ``data`` there, sorted.

    ``metadata.parquet`` describes images beside it and is none.
    """
    for place in (folder, folder / "data"):
        files = files_called(place, ".parquet")
        found = tuple(file for file in files if file.stem != "metadata")
        if found:
            return found
    return ()


def open_parquet(name: str, files: Sequence[Place], *, train: bool = False) -> ParquetDataset:
    """Open images and labels in parquet ``files``, as many as there are shards.

    Of files that are called ``test-00000-of-00001.parquet`` or the like, those of one part are
    taken: the test images, or the training images with ``train``.

    Raises:
        DatasetError: a file is damaged, or has no column of images.
        MissingDependencyError: pyarrow is not installed.
    """
    name, files = of_part(name, files, lambda stem: re.split(r"[^A-Za-z]", stem)[:1], train=train)
    for path in files:
        _check_ends(path)
    return ParquetDataset(name, files)


class ParquetDataset:
    """Images in parquet files; labels are in memory, images are read by row groups.

    Args:
        name: what to call it.
        files: the shards, in order.

    Raises:
        DatasetError: a file is damaged, or the columns are not as above.
        MissingDependencyError: pyarrow is not installed.
    """

    def __init__(self, name: str, files: Sequence[Place]) -> None:
        self.name = name
        self.classes: tuple[str, ...] = ()
        self._labels: list[int] = []
        self._fingerprint = ""
        self._lock = threading.Lock()
        self._files = tuple(files)
        self._opened: dict[Place, tuple[Any, str]] = {}
        self._groups: list[tuple[Place, int]] = []
        self._starts: list[int] = []
        self._kept: OrderedDict[int, list[Any]] = OrderedDict()
        self._count = 0
        labels: list[Any] = []
        names: tuple[str, ...] = ()
        for path in files:
            with _readable(path):
                file = _pyarrow().ParquetFile(path if isinstance(path, Path) else path.open("rb"))
                schema = file.schema_arrow
                self._opened[path] = file, _image_column(path, schema)
                label = next((column for column in _LABELS if column in schema.names), None)
                names = names or _class_names(path, schema, label)
                size = path.stat().st_size
                for group in range(file.metadata.num_row_groups):
                    rows = file.metadata.row_group(group).num_rows
                    # Each image has a length and more, even where most are the same.
                    if not 0 <= rows <= size:
                        raise DatasetError(
                            f"{path} claims {rows} images in {size} bytes: it is damaged"
                        )
                    self._groups.append((path, group))
                    self._starts.append(self._count)
                    self._count += rows
                if label is not None:
                    labels += file.read([label])[label].to_pylist()
        if not self._count:
            raise DatasetError(f"{name} is parquet without rows: name files with images")
        if len(labels) == self._count:
            self._set_labels(labels, names)

    @property
    def labelled(self) -> bool:
        """Whether the class of each image is known."""
        return bool(self._labels)

    def __len__(self) -> int:
        return self._count

    def image(self, index: int) -> Image.Image:
        """Decode one image into RGB.

        Raises:
            DatasetError: it can't be read.
        """
        group = bisect.bisect_right(self._starts, index) - 1
        data = self._group(group)[index - self._starts[group]]
        try:
            return decode(io.BytesIO(data))
        except Exception as error:  # a broken file can make Pillow raise almost anything
            raise DatasetError(
                f"cannot read image {index} of {self.name}: {one_line(error)}"
            ) from error

    def label(self, index: int) -> int:
        """Return the class index of one image.

        Raises:
            DatasetError: there are no labels.
        """
        if not self._labels:
            raise DatasetError(f"{self.name} has no column of labels ({', '.join(_LABELS)})")
        return self._labels[index]

    def fingerprint(self) -> str:
        """Return the SHA-256 of the files, and of labels and class names.

        Of a remote file its name, size and ETag count: to read all of it would take long.
        """
        if not self._fingerprint:
            digest = hashlib.sha256(f"{self.classes} {self._labels}".encode())
            for path in self._files:
                digest.update(_fingerprint(path).encode())
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def _set_labels(self, labels: Sequence[Any], names: Sequence[str]) -> None:
        if all(isinstance(label, int) and 0 <= label < 10**6 for label in labels):
            self.classes = tuple(names) or tuple(str(number) for number in range(max(labels) + 1))
            if max(labels) >= len(self.classes):
                raise DatasetError(
                    f"{self.name} has a label {max(labels)} but only {len(self.classes)} names"
                )
            self._labels = list(labels)
        elif all(isinstance(label, str) and label for label in labels):
            self.classes = class_order(labels)
            index = {label: position for position, label in enumerate(self.classes)}
            self._labels = [index[label] for label in labels]
        elif any(label not in (None, -1) for label in labels):
            raise DatasetError(f"{self.name} has labels that are no class index and no name")

    def _group(self, number: int) -> list[Any]:
        """Return the encoded images of a row group."""
        with self._lock:
            if number in self._kept:
                self._kept.move_to_end(number)
                return self._kept[number]
            path, group = self._groups[number]
            file, column = self._opened[path]
            size = file.metadata.row_group(group).total_byte_size
            if size > _MOST_BYTES:
                raise DatasetError(
                    f"{path} has a row group of {size >> 20} MiB, too large to read at once: write "
                    "it with smaller ones"
                )
            with _readable(path):
                rows = file.read_row_group(group, [column])[column].to_pylist()
            images = [row.get("bytes") if isinstance(row, dict) else row for row in rows]
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
            self._kept[number] = images
            return images


def _fingerprint(path: Place) -> str:
    if isinstance(path, Path):
        return sha256_of(path)
    status = path.stat()
    return f"{path.name} {status.st_size} {getattr(status, 'etag', '')}"


def _check_ends(path: Place) -> None:
    """Refuse a file without the footer of parquet, whether pyarrow is installed or not."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(4)
        stream.seek(max(0, size - 8))
        tail = stream.read(8)
    length = int.from_bytes(tail[:4], "little")
    if head != _MAGIC or tail[4:] != _MAGIC or not 0 < length <= size - 12:
        raise DatasetError(f"{path} is a damaged parquet file: copy it again")


def _pyarrow() -> Any:
    try:
        return importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise MissingDependencyError(
            f"reading parquet needs the package pyarrow: {INSTALL}"
        ) from error


@contextlib.contextmanager
def _readable(path: Place) -> Iterator[None]:
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
    wanted = [name for name in _IMAGES if name in found] or found
    if not wanted:
        raise DatasetError(
            f"{path} is parquet without images: it has the columns {', '.join(schema.names[:5])}"
        )
    return wanted[0]


def _class_names(path: Place, schema: Any, label: str | None) -> tuple[str, ...]:
    """Return the names in what Hugging Face's datasets leave in the schema, or none."""
    try:
        features = strict_json(schema.metadata[b"huggingface"].decode())["info"]["features"]
        names = features[label]["names"]
    except RefusedValuesError as error:
        raise DatasetError(
            f"{path} has class names that can't be believed: {error}; write it again"
        ) from error
    except (KeyError, TypeError, ValueError):
        return ()
    return tuple(map(str, names)) if isinstance(names, list) else ()
