"""From a stranger's text to plain values: JSON, TOML, and what Python prints of its own.

Everything of the kind that a file brings is read here, and what is ambiguous, or beyond what a file
of its kind says, is refused. :mod:`resnet_deploy.parsing` makes typed values of it. What one of our
processes has just said to another, or ONNX Runtime to us, is read where it is said.
"""

from __future__ import annotations

import ast
import itertools
import json
import math
import re
import sys
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

from resnet_deploy.errors import one_line

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class RefusedValuesError(ValueError):
    """The text is of its format, and what it says is ambiguous, or beyond what files say."""


DEEPEST = 100
"""Lists and objects in one another; our own files have ten."""

_MOST_BYTES = 256 << 20
"""Of a file of JSON: a benchmark of an hour has a few."""

_MOST_DIGITS = 400
"""Python converts whole numbers in the square of their digits."""

_MOST_BITS = 1024
"""Of a whole number: more are no float."""

_MOST_PARTS = 32
"""Of a key of TOML, between its dots: its reader takes the square of them; ours have three."""

_NO_KEY = re.compile(
    r'"""(?:[^\\]|\\.)*?(?:"{3,5}|\Z)|' + r"'''.*?(?:'{3,5}|\Z)"
    r'|"(?:[^"\\\n]|\\[^\n])*"?' + r"|'[^'\n]*'?|#[^\n]*",
    re.DOTALL,
)
"""A string or a comment of TOML, or the start of one that nothing ends."""

_BETWEEN_KEYS = re.compile(r"[=\n,{}\[\]]+")

MOST_WORDS = 1 << 18
"""Of what Python prints: the names of ImageNet-21k are 90,000."""

_LITERAL_STRING = re.compile(
    r"'{3}(?:[^\\]|\\.)*?(?:'{3}|\Z)|" + r'"{3}(?:[^\\]|\\.)*?(?:"{3}|\Z)'
    r"|'(?:[^'\\\n]|\\.)*'?|" + r'"(?:[^"\\\n]|\\.)*"?|#[^\n]*',
    re.DOTALL,
)
"""A string or a comment of Python, or the start of one that nothing ends."""

_FORMATTED = re.compile(r"[fF][rR]?\Z|[rR][fF]\Z")
_WORD = re.compile(r"\w+|[^\w\s]")

_BRACKET = re.compile(r'"[^"\\]*(?:\\.?[^"\\]*)*"?|[\[{\]}]', re.DOTALL)
"""Or a whole string, in which brackets mean nothing."""


def strict_json(text: str) -> Any:
    """Return what JSON ``text`` holds.

    Raises:
        json.JSONDecodeError: it is not JSON.
        RefusedValuesError: an object has two values for one key; it is nested too deeply, or holds
            a number that is not finite or half a character.
    """
    _check_depth(text)
    data = json.loads(
        text,
        parse_constant=finite,
        parse_float=finite,
        parse_int=_whole,
        object_pairs_hook=_object,
    )
    _check_characters(json.dumps(data, ensure_ascii=False))
    return data


def json_or_literal(text: str, most: int = MOST_WORDS) -> Any:
    """Return what ``text`` holds in JSON, or as ``print`` shows Python's values.

    Class names are published in both. ``most`` is how many words and marks Python's may have, a
    string being one: its parser takes 500 bytes and more for each.

    Raises:
        RefusedValuesError: it is one of them, and beyond what :func:`strict_json` takes, or longer.
        ValueError: it is neither.
    """
    try:
        return strict_json(text)
    except json.JSONDecodeError:
        pass
    _check_words(text, most)
    try:
        tree = ast.parse(text.strip(), mode="eval")
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict):
                _check_keys([ast.literal_eval(key) for key in node.keys if key is not None])
            elif isinstance(node, ast.Constant):
                _check_constant(node.value)
        return ast.literal_eval(tree)
    except (SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(one_line(error)) from error


def strict_toml(text: str) -> dict[str, Any]:
    """Return what TOML ``text`` holds; the format itself has no key twice.

    Raises:
        ValueError: it is not TOML, or is nested too deeply.
    """
    bare = _BETWEEN_KEYS.split(_NO_KEY.sub("", text))
    if (parts := max(key.count(".") for key in bare) + 1) > _MOST_PARTS:
        raise RefusedValuesError(f"a key of {parts} parts")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_text(path: Path, most: int = _MOST_BYTES) -> str:
    """Return the text in the file ``path``, without the mark that some editors begin it with.

    Raises:
        OSError: it can't be read.
        ValueError: it is not a regular file (a pipe has no end), is not UTF-8, or has more than
            ``most`` bytes.
    """
    path.stat()  # says why, where there is none
    if not path.is_file():
        raise ValueError("it is not a file")
    with path.open("rb") as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it is larger than {most >> 20} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8 text") from error


def _check_depth(text: str) -> None:
    """Refuse what json, which calls itself for each bracket, could not leave again.

    Raises:
        RefusedValuesError: there are too many brackets in one another.
    """
    depth = 0
    for found in _BRACKET.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
        if depth > DEEPEST:
            raise RefusedValuesError(f"it is nested more than {DEEPEST} deep")


def _check_words(text: str, most: int) -> None:
    """Refuse what Python's parser would take too much memory or time for.

    Raises:
        RefusedValuesError: there are more than ``most`` words.
        ValueError: there is an f-string, which is no literal, and read in the square of its parts.
    """
    bare, end = [], 0
    for found in _LITERAL_STRING.finditer(text):
        if found[0][0] != "#" and _FORMATTED.search(
            text[max(0, found.start() - 2) : found.start()]
        ):
            raise ValueError("an f-string")
        bare += [text[end : found.start()], " _ "]
        end = found.end()
    words = _WORD.finditer("".join((*bare, text[end:])))
    if next(itertools.islice(words, most, None), None) is not None:
        raise RefusedValuesError(f"it has more than {most} words")


def _check_characters(text: str) -> None:
    """Refuse half a surrogate pair, which is not text that can be written anywhere.

    Raises:
        RefusedValuesError: there is one.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RefusedValuesError(f"half a character ({error.reason})") from error


def _check_constant(value: object) -> None:
    """Refuse what JSON has no words for; hexadecimal digits are read however many there are."""
    if isinstance(value, str):
        _check_characters(value)
    elif isinstance(value, float):
        finite(str(value))
    elif isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise RefusedValuesError(f"a number of {value.bit_length()} bits")


def finite(digits: str) -> float:
    """Refuse ``NaN`` and ``Infinity``, which Python alone writes into JSON."""
    number = float(digits)
    if not math.isfinite(number):
        raise RefusedValuesError(f"{digits[:20]} is not a number")
    return number


def _whole(digits: str) -> int:
    """Refuse whole numbers too large for a float, which fields of floats would choke on."""
    if len(digits) > _MOST_DIGITS:
        raise RefusedValuesError(f"a number of {len(digits)} digits")
    finite(digits)
    return int(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        _check_keys([key for key, _ in pairs])
    return found


def _check_keys(keys: Sequence[Hashable]) -> None:
    """Refuse a key that is there twice.

    Raises:
        RefusedValuesError: one is; which of its values counts would depend on who reads.
    """
    seen = set()
    for key in keys:
        if key in seen:
            raise RefusedValuesError(f"{key!r:.40} is there twice")
        seen.add(key)
