"""Datasets in parquet with the images inside, as Hugging Face publishes them.

https://huggingface.co/docs/datasets/image_dataset: a column of structs with ``bytes`` and ``path``,
a column of class indices, and their names in the metadata of the schema.
"""

from __future__ import annotations

import bisect
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from resnet_deploy.artifact.files import sha256_of
from resnet_deploy.data.images import decode, why_unread
from resnet_deploy.data.labels import class_order
from resnet_deploy.data.places import Place
from resnet_deploy.data.row_groups import LONGEST_LABEL, RowGroups, labels_in, readable
from resnet_deploy.data.splits import check_whole, of_part
from resnet_deploy.data.trees import files_called
from resnet_deploy.errors import DatasetError
from resnet_deploy.plain_values import RefusedValuesError, strict_json

_MAGIC = b"PAR1"
_LABELS = ("label", "labels", "fine_label", "class", "category", "target", "cls", "y")
"""Names of columns; the first that is there counts."""


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


def open_parquet(
    name: str, files: Sequence[Place], *, train: bool = False, whole: bool = False
) -> ParquetDataset:
    """Open images and labels in parquet ``files``, as many as there are shards.

    Of files that are called ``test-00000-of-00001.parquet`` or the like, those of one part are
    taken: the test images, or the training images with ``train``. Where ``files`` are the
    ``whole`` of a folder, none of those that are numbered so may be missing.

    Raises:
        DatasetError: a file is damaged or missing, or has no column of images.
        MissingDependencyError: pyarrow is not installed.
    """
    name, files = of_part(name, files, lambda stem: re.split(r"[^A-Za-z]", stem)[:1], train=train)
    if whole:
        check_whole(name, files)
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
        self._files = tuple(files)
        self._reader = RowGroups()
        self._groups: list[tuple[Place, int]] = []
        self._starts: list[int] = []
        self._count = 0
        labels: list[Any] = []
        names: tuple[str, ...] = ()
        for path in files:
            file, _ = self._reader.open(path)
            with readable(path):
                schema = file.schema
                label = next((column for column in _LABELS if column in schema.names), None)
                own = _class_names(path, schema, label)
                if names and own and own != names:
                    raise DatasetError(
                        f"{path} names other classes than {files[0]}: write both with one list"
                    )
                names = names or own
                size, before = path.stat().st_size, self._count
                for group in range(file.metadata.num_row_groups):
                    rows = file.metadata.row_group(group).num_rows
                    # Each image has a length and more, even where most are the same.
                    held = self._count - before + rows
                    if rows < 0 or held > size:
                        raise DatasetError(
                            f"{path} claims {held} images in {size} bytes: it is damaged"
                        )
                    self._groups.append((path, group))
                    self._starts.append(self._count)
                    self._count += rows
                if label is not None:
                    labels += labels_in(path, file, label)
        if not self._count:
            raise DatasetError(f"{name} is parquet without rows: name files with images")
        if labels and len(labels) != self._count:
            raise DatasetError(
                f"{name} has {self._count} images and {len(labels)} labels: write all files with "
                "the column of labels, or none"
            )
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
        data = self._reader.images(*self._groups[group])[index - self._starts[group]]
        return _decoded(data, index, self.name)

    def part(self, indices: Sequence[int]) -> ParquetRows:
        """Return the images ``indices``, which ascend, without their labels."""
        rows = []
        for index in indices:
            number = bisect.bisect_right(self._starts, index) - 1
            path, group = self._groups[number]
            place = path.absolute() if isinstance(path, Path) else path
            rows.append((place, group, index - self._starts[number]))
        return ParquetRows(name=self.name, rows=tuple(rows), numbers=tuple(indices))

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
        if not labels:
            return
        if all(isinstance(label, int) and 0 <= label < 10**6 for label in labels):
            self.classes = tuple(names) or tuple(str(number) for number in range(max(labels) + 1))
            if max(labels) >= len(self.classes):
                raise DatasetError(
                    f"{self.name} has a label {max(labels)} but only {len(self.classes)} names"
                )
            self._labels = list(map(int, labels))
        elif all(isinstance(label, str) and label.strip() for label in labels):
            self.classes = class_order(labels)
            index = {label: position for position, label in enumerate(self.classes)}
            self._labels = [index[label] for label in labels]
        elif any(label not in (None, -1) for label in labels):
            raise DatasetError(f"{self.name} has labels that are neither a class index nor a name")


@dataclass(frozen=True, kw_only=True, eq=False)
class ParquetRows:
    """Some images of a :class:`ParquetDataset`: file, row group and row of each.

    ``numbers`` are those of the images in the whole.
    """

    name: str
    rows: tuple[tuple[Place, int, int], ...]
    numbers: tuple[int, ...]
    classes: tuple[str, ...] = ()
    labelled: bool = False
    _reader: RowGroups = field(default_factory=RowGroups, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    def image(self, index: int) -> Image.Image:
        """Decode one image into RGB.

        Raises:
            DatasetError: it can't be read.
        """
        path, group, row = self.rows[index]
        return _decoded(self._reader.images(path, group)[row], self.numbers[index], self.name)

    def label(self, index: int) -> int:
        """Raise DatasetError: labels stay behind."""
        raise DatasetError(f"this part of {self.name} has no labels")

    def fingerprint(self) -> str:
        """Return the SHA-256 of the files' names and sizes, and of which rows these are."""
        digest = hashlib.sha256(repr([row[1:] for row in self.rows]).encode())
        for path in dict.fromkeys(row[0] for row in self.rows):
            digest.update(f"{path.name}\0{path.stat().st_size}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()


def _decoded(data: bytes, number: int, name: str) -> Image.Image:
    try:
        return decode(io.BytesIO(data))
    except Exception as error:  # a broken file can make Pillow raise almost anything
        raise DatasetError(f"cannot read image {number} of {name}: {why_unread(error)}") from error


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
    if not isinstance(names, list) or not names:
        return ()
    if not all(isinstance(name, str) and 0 < len(name.strip()) <= LONGEST_LABEL for name in names):
        raise DatasetError(
            f"{path} has class names that are no text of at most {LONGEST_LABEL} letters: write it "
            "again"
        )
    return tuple(names)
