"""Labels of images in a file: ``val.txt``, CSV, or the ``metadata`` files of Hugging Face."""

from __future__ import annotations

import csv
import json
import logging
import re
from array import array
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from resnet_deploy.data.labels import class_order
from resnet_deploy.data.labels_file import read_text
from resnet_deploy.data.listing import Listing, counted, first_few
from resnet_deploy.data.names import Names
from resnet_deploy.data.places import Place, called
from resnet_deploy.data.splits import is_split, wanted_split
from resnet_deploy.errors import DatasetError, one_line
from resnet_deploy.plain_values import strict_json
from resnet_deploy.visible import visible_line

logger = logging.getLogger(__name__)

_FILES = (r"(file|image|img)_?(name|path)s?", "file|path|image|img", "(image|img)_?id|name|id")
_LABELS = (
    "labels?|class|target|category",
    "(class|label|category)_?name|breed|species",
    "(class|label|category)_?(id|idx|index)|y",
)
_PARTS = ("split|subset|set|data set|partition",)
"""Heads of columns, as patterns in any case: the first that a column matches counts."""

_NO_OUTPUT = re.compile(r"-[0-9]+|[+-]?[0-9]*\.[0-9]+")
"""Numbers that count nothing: -1 often says that an image has no label."""

_LEADS_OUT = re.compile(r"^/|^[A-Za-z]:|(^|/)\.\.(/|$)")
"""Absolute, with a drive, or up."""

Row = tuple[str, str]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ImageLabels:
    """Images with labels: ``labels[i]``, which points into ``classes``, is that of ``files[i]``."""

    files: Names
    labels: array[int]
    classes: tuple[str, ...]


def label_images(path: Place, listing: Listing, *, train: bool = False) -> ImageLabels:
    """Return the images of ``listing`` whose labels the file at ``path`` tells.

    A row has the name of an image below the folder, with or without its folders and its suffix,
    and a label: a number is an output of the model, anything else the name of a class. Text has
    ``name label`` a line; CSV may have a head that tells which column is which, and a column
    ``split``; JSON has one object a line, a list of objects, or a map from names to labels.
    Images without a row, and rows without an image, are counted in a warning.

    Args:
        path: the file.
        listing: what lies in the folder.
        train: which rows to take where a column tells the part: those of training or the others.

    Raises:
        DatasetError: the file can't be read or has no labels, a name leads out of the folder or
            fits several images, an image has two labels, or none of the images is there.
    """
    rows = _rows(path, train=train)
    names = _Names(listing, path)
    found: dict[str, str] = {}
    absent: list[str] = []
    for name, label in rows:
        file = names.find(name)
        if file is None:
            absent.append(name)
        elif found.setdefault(file, label) != label:
            raise DatasetError(
                f"{path} gives {visible_line(file)} the labels {found[file]!r} and {label!r}: "
                "keep one"
            )
    if not found:
        raise DatasetError(
            f"{path} names no image in {listing.root}: it begins with {rows[0][0]!r}, the folder "
            f"with {listing.images[0]!r}"
        )
    if absent:
        count = counted(len(absent), "row")
        logger.warning("%s of %s without an image: %s", count, path.name, first_few(absent))
    unlabelled = listing.images.kept(lambda file: file not in found)
    if unlabelled:
        count = counted(len(unlabelled), "image is", "images are")
        logger.warning("%s not in %s: %s", count, path.name, first_few(unlabelled))
    classes = class_order(found.values())
    index = {name: i for i, name in enumerate(classes)}
    files = listing.images.kept(found.__contains__)
    labels = array("i", (index[found[file]] for file in files))
    return ImageLabels(files=files, labels=labels, classes=classes)


class _Names:
    """Finds the image that a row of a file means; only what is listed can be found."""

    def __init__(self, listing: Listing, source: Place) -> None:
        self._exact = set(listing.images)
        self._folder = called(listing.root)
        self._source = source
        self._loose: dict[str, list[str]] = defaultdict(list)
        for file in listing.images:
            base, dot, _ = file.rpartition(".")
            whole = base if dot else file
            names = {file.rpartition("/")[2], whole, whole.rpartition("/")[2]}
            for name in names - {file}:
                self._loose[name].append(file)

    def find(self, name: str) -> str | None:
        """Return the image called ``name``, or None.

        Raises:
            DatasetError: the name leads out of the folder, or fits several images.
        """
        path = name.replace("\\", "/").removeprefix("./")
        if _LEADS_OUT.search(path):
            raise DatasetError(
                f"{self._source} names {name!r}, which leads out of the folder: names must be "
                "relative to it"
            )
        for tried in (path, path.removeprefix(f"{self._folder}/")):
            if tried in self._exact:
                return tried
            several = self._loose.get(tried, ())
            if len(several) > 1:
                either = visible_line(" or ".join(several[:2]))
                raise DatasetError(
                    f"{self._source} names {name!r}, which can be {either}: write the folder, too"
                )
            if several:
                return several[0]
        return None


def _rows(path: Place, *, train: bool) -> list[Row]:
    """Return image and label of each row.

    Raises:
        DatasetError: the file has none.
    """
    text = read_text(path)
    if text.lstrip()[:1] in ("{", "["):
        rows = _json_rows(path, text, train=train)
    else:
        head = text.lstrip().partition("\n")[0]
        separator = next((mark for mark in "\t,;" if mark in head), None)
        if separator is None:
            rows = [
                _two(path, line.rsplit(maxsplit=1)) for line in text.splitlines() if line.strip()
            ]
        else:
            rows = _table(path, _cells(path, text, separator), train=train)
    if not rows:
        raise DatasetError(f"{path} is empty: give an image and its label a line")
    return rows


def _cells(path: Place, text: str, separator: str) -> list[list[str]]:
    try:
        table = csv.reader(text.splitlines(keepends=True), delimiter=separator)
        return [
            [cell.strip() for cell in row] for row in table if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        raise DatasetError(f"{path} is not a CSV that can be read: {error}") from error


def _table(path: Place, cells: Sequence[Sequence[str]], *, train: bool) -> list[Row]:
    if not cells:  # separators alone
        return []
    heads = cells[0]
    file, label, part = (_column(heads, names) for names in (_FILES, _LABELS, _PARTS))
    if len(heads) == 2 and (file is None or label is None or file == label):
        if file is not None:
            return [_two(path, row if file == 0 else row[::-1]) for row in cells[1:]]
        return [_two(path, row) for row in cells]
    if file is None or label is None:
        raise DatasetError(
            f"{path} has the columns {first_few(cells[0])}: call those of the image and its label "
            "file_name and label"
        )
    body = [row for row in cells[1:] if len(row) == len(heads)]
    if len(body) != len(cells) - 1:
        bad = next(n for n, row in enumerate(cells, 1) if len(row) != len(heads))
        raise DatasetError(f"{path}: row {bad} has not {len(heads)} columns as the first one")
    for column in (file, label, part):
        if column is not None and heads.count(heads[column]) > 1:
            raise DatasetError(f"{path} has two columns {heads[column]!r:.60}: keep one")
    if part is not None:
        body = _of_part(body, [row[part] for row in body], train=train)
    return [_two(path, [row[file], row[label]]) for row in body]


def _of_part(rows: list[T], parts: Sequence[str], *, train: bool) -> list[T]:
    """Return the rows of the part that is wanted, all if none of them is."""
    wanted = wanted_split(filter(is_split, parts), train=train)
    if wanted is None:
        return rows
    return [
        row for row, part in zip(rows, parts, strict=True) if part.casefold() == wanted.casefold()
    ]


def _json_rows(path: Place, text: str, *, train: bool) -> list[Row]:
    try:
        try:
            data = strict_json(text)
        except json.JSONDecodeError:
            data = [strict_json(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise DatasetError(f"{path} is not JSON that can be read ({one_line(error)})") from error
    if isinstance(data, dict) and _column(list(data), _FILES) is None:
        return [_two(path, [str(name), _scalar(path, label)]) for name, label in data.items()]
    objects = data if isinstance(data, list) else [data]
    if not all(isinstance(entry, dict) for entry in objects):
        raise DatasetError(f"{path} is JSON, but no objects with file_name and label")
    rows, parts = [], []
    for entry in objects:
        names = list(entry)
        file, label, part = (_column(names, heads) for heads in (_FILES, _LABELS, _PARTS))
        if file is None or label is None:
            raise DatasetError(f"{path} has an object without file_name or label: add them")
        rows.append(_two(path, [str(entry[names[file]]), _scalar(path, entry[names[label]])]))
        parts.append("" if part is None else str(entry[names[part]]))
    return _of_part(rows, parts, train=train)


def label_of(what: str, entry: object) -> str | None:
    """Return the label in what JSON says of one image, or None; ``what`` is named in errors.

    Raises:
        DatasetError: it is neither a name nor a number.
    """
    if not isinstance(entry, dict):
        return None
    place = _column(list(entry), _LABELS)
    return None if place is None else _scalar(what, list(entry.values())[place])


def _column(heads: Sequence[str], patterns: Sequence[str]) -> int | None:
    """Return the place of the first head that the first possible pattern matches, or None."""
    for pattern in patterns:
        for place, head in enumerate(heads):
            if re.fullmatch(pattern, head, re.IGNORECASE):
                return place
    return None


def _scalar(path: Place | str, label: object) -> str:
    if not isinstance(label, str | int) or isinstance(label, bool):
        raise DatasetError(f"{path} has a label {str(label)[:40]!r}: give a name or a number")
    return str(label)


def _two(path: Place, cells: Sequence[str]) -> Row:
    if len(cells) != 2 or not all(cells):
        raise DatasetError(
            f"{path} has the line {' '.join(cells)[:60]!r}: give an image and its label a line"
        )
    name, label = cells[0].strip(), cells[1].strip()
    check_counts(f"{path} gives {visible_line(name)}", label)
    return name, label


def check_counts(what: str, label: str) -> None:
    """Refuse a ``label`` that is a number and no class index; ``what`` has it.

    Raises:
        DatasetError: it is.
    """
    if _NO_OUTPUT.fullmatch(label):
        raise DatasetError(
            f"{what} the label {label:.40}, which is not a class index (0, 1, 2, …): write it as "
            "one, or leave the image out"
        )
