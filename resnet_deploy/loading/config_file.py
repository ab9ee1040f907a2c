"""JSON that lies beside weights, read with distrust: bounded, and every field of a known kind.

Keys that nobody here knows are left alone: such files hold much that is of no concern.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from resnet_deploy.errors import CheckpointError, one_line
from resnet_deploy.plain_values import read_text, strict_json

_LARGEST_BYTES = 4 << 20
"""The names of 21,841 classes take half of it."""

_LARGEST_LABELS = 1 << 17
_LARGEST_SIDE = 2048
"""Pixels of a side, twice what any published classifier takes: it decides about memory."""

_LARGEST_NUMBER = 1e5
_MOST_SHOWN = 60


class Fields:
    """The fields of one JSON object, by kind; a missing one, and null, is None.

    Args:
        data: the object.
        where: its file, and the path inside it, for messages.

    Every method raises :class:`~resnet_deploy.errors.CheckpointError` for a value of another kind;
    the message names the file and the field.
    """

    def __init__(self, data: Mapping[str, Any], where: str) -> None:
        self._data = data
        self.where = where

    def __contains__(self, key: str) -> bool:
        return self._data.get(key) is not None

    def __iter__(self) -> Iterator[str]:
        """Go over the keys that say something."""
        return (key for key in self._data if key in self)

    def wrong(self, key: str, reason: str) -> CheckpointError:
        """Return the error that says of field ``key`` why it can't be used."""
        shown = _shown(self._data.get(key))
        return CheckpointError(
            f"{self.where}: {one_line(key, _MOST_SHOWN)} is {shown}, {reason}: repair or remove "
            "the file"
        )

    def value(self, key: str) -> Any:
        """Return what is there, of any kind."""
        return self._data.get(key)

    def text(self, key: str) -> str | None:
        """Return a text of one line."""
        value = self._data.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.wrong(key, "not a text")
        return printable(value)

    def flag(self, key: str) -> bool | None:
        """Return true or false."""
        value = self._data.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(key, "neither true nor false")
        return value

    def number(
        self, key: str, *, above: float = 0.0, most: float = _LARGEST_NUMBER
    ) -> float | None:
        """Return a number greater than ``above``, and at most ``most``."""
        value = self._data.get(key)
        if value is None:
            return None
        if not _is_number(value) or not above < value <= most:
            raise self.wrong(key, f"not a number above {above:g} and at most {most:g}")
        return float(value)

    def count(self, key: str) -> int | None:
        """Return a whole number from 0 on."""
        value = self._data.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1 << 30:
            raise self.wrong(key, "not a whole number")
        return value

    def side(self, key: str) -> int | None:
        """Return a number of pixels."""
        value = self._data.get(key)
        if value is None:
            return None
        if not is_side(value):
            raise self.wrong(key, f"not a size of 1 to {_LARGEST_SIDE} pixels")
        return int(value)

    def checked_side(self, key: str, pixels: float) -> int:
        """Return ``pixels`` as a whole number: what field ``key`` makes of a size."""
        if not 1 <= pixels <= _LARGEST_SIDE:
            raise self.wrong(key, f"which resizes pictures to {pixels:.0f} pixels")
        return int(pixels)

    def per_channel(self, key: str) -> tuple[float, ...] | None:
        """Return one finite number, or three or four: one a channel."""
        value = self._data.get(key)
        if value is None:
            return None
        numbers = value if isinstance(value, list) else [value]
        if len(numbers) not in (1, 3, 4) or not all(map(_is_number, numbers)):
            raise self.wrong(key, "not one finite number, nor three (four for RGBA)")
        if max(map(abs, numbers)) > _LARGEST_NUMBER:
            raise self.wrong(key, "too large")
        return tuple(map(float, numbers))

    def deviations(self, key: str) -> tuple[float, ...] | None:
        """Return one positive number, or three; zeros say nothing."""
        numbers = self.per_channel(key)
        if numbers is not None and min(numbers) < 0:
            raise self.wrong(key, "negative")
        return None if numbers is None or 0 in numbers else numbers

    def below(self, key: str) -> Fields | None:
        """Return the object that field ``key`` holds."""
        value = self._data.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(key, "not an object")
        return Fields(value, f"{self.where}: {key}")

    def labels(self, key: str) -> tuple[str, ...]:
        """Return names of classes: a list, or an object whose keys number them from 0 on."""
        value = self._data.get(key)
        if value is None:
            return ()
        if isinstance(value, dict):
            value = self._numbered(key, value)
        if not isinstance(value, list):
            raise self.wrong(key, "neither a list of names nor an object of numbered ones")
        if len(value) > _LARGEST_LABELS or not all(map(_is_label, value)):
            raise self.wrong(key, "not a list of names")
        names = tuple(printable(str(name)) for name in value)
        if "" in names:
            raise self.wrong(key, f"without a name for class {names.index('')}")
        return names

    def check_numbers(self, key: str, labels: tuple[str, ...], source: str) -> None:
        """Refuse an object ``key`` that gives one of ``labels`` the number of another class.

        The names are those of field ``source``; where the two contradict each other, the file does
        not say which is right. A name that two classes share has one number only.
        """
        numbers = self._data.get(key)
        if not isinstance(numbers, dict):
            return
        shared = Counter(labels)
        for number, name in enumerate(labels):
            said = numbers.get(name)
            if said is not None and str(said) != str(number) and shared[name] == 1:
                raise self.wrong(key, f"and {source} has {name!r} as class {number}")

    def _numbered(self, key: str, names: dict[str, Any]) -> list[Any]:
        try:
            by_number = {int(number): name for number, name in names.items()}
        except ValueError as error:
            raise self.wrong(key, "not numbered by class") from error
        if sorted(by_number) != list(range(len(names))):
            raise self.wrong(key, "not numbered from 0 on without a gap")
        return [by_number[number] for number in range(len(names))]


def read_config(path: Path) -> Fields | None:
    """Return what the JSON file ``path`` holds; None where there is no such file.

    Raises:
        CheckpointError: it can't be read, is larger than 4 MiB, holds no JSON object, or says
            something twice.
    """
    if not path.is_file():  # nor is a pipe, which has no end
        return None
    try:
        content = strict_json(read_text(path, _LARGEST_BYTES))
        if not isinstance(content, dict):
            raise ValueError(f"{_shown(content)} and not an object")
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} beside the weights is not a valid config ({one_line(error, 100)}): repair or "
            "remove it"
        ) from error
    return Fields(content, str(path))


def is_side(value: Any) -> bool:
    """Whether ``value`` is a size in pixels; some are written as 224.0."""
    return _is_number(value) and value == int(value) and 1 <= value <= _LARGEST_SIDE


def printable(text: str) -> str:
    """Return ``text`` in one line, without what a terminal would obey."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _is_label(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # A whole number of a thousand digits is no float.
    return abs(value) <= 1e30 if isinstance(value, int) else math.isfinite(value)


def _shown(value: Any) -> str:
    """Return ``value`` for a message: short, and in one line."""
    if isinstance(value, dict | list):
        kind = "an object" if isinstance(value, dict) else "a list"
        if len(value) > 8 or any(isinstance(part, dict | list) for part in value):
            return f"{kind} of {len(value)}"
    return one_line(printable(repr(value)), _MOST_SHOWN)
