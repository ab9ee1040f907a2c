"""Names of classes in a file, in every form in which they are published."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from resnet_deploy.data.listing import counted
from resnet_deploy.data.places import Place
from resnet_deploy.errors import DatasetError
from resnet_deploy.plain_values import RefusedValuesError, json_or_literal

_LARGEST = 64 << 20
"""Bytes of a file with labels of images: twice those of all 1.3 million of ImageNet."""

_MOST_NAMES = 4 << 20
"""Bytes of a file with names of classes, which may be Python's, and costly to parse."""

_INSIDE = ("id2label", "label2id", "label_names", "class_names", "names", "labels", "classes")
"""Where a model's configuration keeps its class names, in JSON."""

_INDEX_HEADS = ("index", "idx", "id", "class_id", "class_idx", "class_index", "label_id", "number")
_NAME_HEADS = (
    "name",
    "class_name",
    "classname",
    "label_name",
    "label",
    "class",
    "category",
    "names",
)
"""Heads of columns, in lower case."""

_WNID_HEADS = ("wnid", "synset", "synset_id")

_WHAT = "give one class name a line, a JSON list or map, or CSV with the columns index and name"

_INDEXED = re.compile(r"([0-9]+)\s*(?:[:,;\t]|\s)\s*(\S.*)")
_NAMED = re.compile(r"(.*\S)\s*[,;:\t]\s*([0-9]+)")
_NO_NAMES = re.compile(r"[\x00-\x08\x0e-\x1f]|[{:]\s*$", re.MULTILINE)
"""What no name has: control characters, and the blocks of YAML and protocol buffers."""

_NUMBERED_WNID = re.compile(r"n\d{8}\s+\d+\s+\S")

_WNID = re.compile(r"n\d{8}")


def read_labels_file(path: Path) -> tuple[str, ...]:
    """Return the class names in a file, in the order of the outputs.

    Text has one name a line, also with its WordNet id (``n01440764 tench, Tinca tinca``) or its
    number in front (``0: tench``). JSON is a list, a map from numbers to names or back, or a
    configuration with ``id2label`` or the like; a name may be a list such as
    ``["n01440764", "tench"]``. CSV has a head with ``name`` and maybe ``index``.

    Raises:
        DatasetError: the file can't be read, is none of these, is empty, or leaves an output
            without a name.
    """
    text = read_text(path, "labels", _MOST_NAMES)
    stripped = text.strip()
    if not stripped:
        raise DatasetError(f"{path} is empty: {_WHAT}")
    if stripped[0] in "[{":
        names = _from_json(path, stripped)
    elif stripped[0] == "<" or _NO_NAMES.search(stripped):
        raise DatasetError(f"{path} holds no class names: {_WHAT}")
    else:
        names = _from_lines(path, [line.strip() for line in text.rstrip().splitlines()])
    if "" in names:
        raise DatasetError(f"{path} has no name for class {names.index('')}: name it")
    return tuple(names)


def read_text(path: Place, what: str = "labels of images", most: int = _LARGEST) -> str:
    """Return the text in ``path``.

    Raises:
        DatasetError: the file can't be read, is not text in UTF-8, or has more than ``most`` bytes.
    """
    try:
        if not path.is_file():
            why = "it is not a file" if path.exists() else "it does not exist"
            raise DatasetError(f"cannot read {what} from {path}: {why}")
        if path.stat().st_size > most:
            raise DatasetError(f"cannot read {what} from {path}: {most >> 20} MiB are the most")
        # As Path.read_text does, which ends lines as Python does.
        return io.TextIOWrapper(io.BytesIO(path.read_bytes()), encoding="utf-8-sig").read()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text: it can't hold {what}") from error
    except OSError as error:
        raise DatasetError(f"cannot read {what} from {path}: {error.strerror}") from error


def _from_json(path: Path, text: str) -> list[str]:
    try:
        data = json_or_literal(text)
    except RefusedValuesError as error:
        raise DatasetError(f"{path} looks like JSON, but {error}: {_WHAT}") from error
    except ValueError as error:
        raise DatasetError(f"{path} looks like JSON but can't be read as such: {_WHAT}") from error
    inside = data if isinstance(data, dict) else {}
    data = next((inside[key] for key in _INSIDE if isinstance(inside.get(key), dict | list)), data)
    if isinstance(data, dict) and data:
        return _from_map(path, data)
    if isinstance(data, list) and data:
        if all(isinstance(entry, dict) for entry in data):
            return _from_objects(path, data)
        return [_name(path, entry) for entry in data]
    raise DatasetError(f"{path} is JSON without class names: {_WHAT}")


def _from_map(path: Path, data: Mapping[object, object]) -> list[str]:
    values = list(data.values())
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return _in_order(path, [(str(value), str(name)) for name, value in data.items()])
    if all(_WNID.fullmatch(str(key)) for key in data) and sorted(map(str, data)) == list(data):
        return [f"{wnid} {_name(path, name)}" for wnid, name in data.items()]
    return _in_order(path, [(str(index), _name(path, name)) for index, name in data.items()])


def _from_objects(path: Path, data: Sequence[Mapping[str, object]]) -> list[str]:
    index = next((key for key in _INDEX_HEADS if all(key in entry for entry in data)), None)
    name = next((key for key in _NAME_HEADS if all(key in entry for entry in data)), None)
    if name is None:
        raise DatasetError(f"{path} is JSON of objects without a name: {_WHAT}")
    names = [_name(path, entry[name]) for entry in data]
    if index is None:
        return names
    return _in_order(path, [(str(one[index]), text) for one, text in zip(data, names, strict=True)])


def _name(path: Path, value: object) -> str:
    """Return one class name; a list is a WordNet id and a name."""
    parts = value if isinstance(value, list | tuple) and value else [value]
    kinds = str if parts is value else str | int
    if not all(isinstance(part, kinds) and not isinstance(part, bool) for part in parts):
        raise DatasetError(f"{path} is JSON with a class name {str(value)[:40]!r}: {_WHAT}")
    words = [" ".join(str(part).split()) for part in parts]
    return (" " if _WNID.fullmatch(words[0]) else ", ").join(words)


def _from_lines(path: Path, lines: list[str]) -> list[str]:
    table = _table(path, lines)
    if table is not None:
        return table
    if "" in lines:
        raise DatasetError(f"{path} has a blank line {lines.index('') + 1}: name that class")
    if len(lines) > 1 and all(map(_NUMBERED_WNID.match, lines)):
        raise DatasetError(
            f"{path} numbers the classes in an order of its own, which need not be that of the "
            f"outputs: {_WHAT}"
        )
    for pattern, index, name in ((_INDEXED, 1, 2), (_NAMED, 2, 1)):
        found = [pattern.fullmatch(line) for line in lines]
        rows = [(match[index], match[name]) for match in found if match]
        if len(rows) == len(lines) > 1 and _covers(rows):
            return _in_order(path, rows)
    return lines


def _table(path: Path, lines: list[str]) -> list[str] | None:
    """Return the names in CSV, or None if it is none: only there a comma parts two columns."""
    separator = next((mark for mark in "\t,;" if mark in lines[0]), ",")
    try:
        rows = [
            [cell.strip() for cell in row]
            for row in csv.reader(lines, delimiter=separator, skipinitialspace=True)
        ]
    except csv.Error as error:
        raise DatasetError(f"{path} is not a CSV that can be read: {error}") from error
    heads = [head.casefold() for head in rows[0]]
    name = next((heads.index(head) for head in _NAME_HEADS if head in heads), None)
    index = next((heads.index(head) for head in _INDEX_HEADS if head in heads), None)
    wnid = next((heads.index(head) for head in _WNID_HEADS if head in heads), None)
    if path.suffix.lower() not in (".csv", ".tsv") and (name is None or index is None):
        return None
    for column in (name, index, wnid):
        if column is not None and heads.count(heads[column]) > 1:
            raise DatasetError(f"{path} has two columns {rows[0][column]!r:.60}: keep one")
    bad = next((number for number, row in enumerate(rows, 1) if len(row) != len(heads)), None)
    if bad is not None:
        raise DatasetError(
            f"{path}: row {bad} has not {counted(len(heads), 'column')} as the first"
        )
    if name is None:
        return _without_head(path, rows)
    names = [" ".join(filter(None, ("" if wnid is None else row[wnid], row[name]))) for row in rows]
    if index is None:
        return names[1:]
    return _in_order(path, [(row[index], text) for row, text in zip(rows, names, strict=True)][1:])


def _without_head(path: Path, rows: list[list[str]]) -> list[str]:
    if len(rows[0]) == 1:
        return [row[0] for row in rows]
    if len(rows[0]) == 2:
        for pairs in ([(one, two) for one, two in rows], [(two, one) for one, two in rows]):
            if _covers(pairs):
                return _in_order(path, pairs)
        if all(_WNID.fullmatch(wnid) for wnid, _ in rows):
            return [" ".join(row) for row in rows]
    raise DatasetError(f"{path} has no column called name: {_WHAT}")


def _covers(rows: Sequence[tuple[str, str]]) -> bool:
    """Whether the numbers of the rows are those of all outputs: 0, 1, 2, … in any order."""
    return {number for number, _ in rows} == {str(index) for index in range(len(rows))} != set()


def _in_order(path: Path, rows: Sequence[tuple[str, str]]) -> list[str]:
    """Return the names by their numbers.

    Raises:
        DatasetError: the numbers are not 0, 1, 2, … each once.
    """
    if not _covers(rows):
        numbers = {number for number, _ in rows}
        lacks = next(index for index in range(len(rows) + 1) if str(index) not in numbers)
        raise DatasetError(
            f"{path} numbers {len(rows)} classes but has none with the number {lacks}: outputs are "
            "numbered from 0"
        )
    by_number = {int(number): name for number, name in rows}
    return [by_number[index] for index in range(len(rows))]
