"""What other exporters leave in the metadata of a file, and the names of classes in it.

It is data of a stranger: read as a literal of JSON or Python, never run, and bounded.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping

from resnet_deploy.plain_values import MOST_WORDS, RefusedValuesError, json_or_literal

_NAMES = "names"
_OPENING = ("{", "[", "(")
_DIGITS = re.compile(r"[0-9]{1,9}")

_LONGEST = 1 << 20
"""Characters of one entry: ImageNet-21k's names take half of them."""

_MOST_TOLD = 256
"""Entries of one file that are looked at for what is ambiguous in them."""

_MOST_WORDS = 1 << 13
"""Of an entry that is not ``names``: a mean of a thousand channels is 2,000."""

_MOST_NESTED = 8
"""Brackets in brackets; names are a list or a map."""


def class_names(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names under ``names``, a list or a map from the number of the class.

    Empty where there are none, or where a number or a name is missing.
    """
    found = literal(metadata.get(_NAMES, ""), MOST_WORDS)
    if isinstance(found, dict):
        numbered = {_number(key): name for key, name in found.items()}
        if set(numbered) != set(range(len(found))):
            return ()
        found = [numbered[number] for number in range(len(found))]
    if not isinstance(found, list | tuple):
        return ()
    names = tuple(" ".join(name.split()) for name in found if isinstance(name, str))
    return names if len(names) == len(found) and all(map(str.isprintable, names)) else ()


def _number(key: object) -> int | None:
    """Return the number that a ``key`` is, or says in digits; 1.5 and True are none."""
    if isinstance(key, str) and _DIGITS.fullmatch(key.strip()):
        return int(key)
    return key if type(key) is int else None


def literal(text: str, most: int = _MOST_WORDS) -> object:
    """Return what ``text``, of at most so many words, says in JSON or as a Python literal.

    None where it is neither, or says what :func:`refused` tells.
    """
    if not _is_short(text):
        return None
    try:
        found: object = json_or_literal(text, most)
    except ValueError:
        return None
    return found


def refused(metadata: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each entry that says something ambiguous, and is ignored for it."""
    listed = ((key, text) for key, text in metadata.items() if text.lstrip()[:1] in _OPENING)
    for key, text in itertools.islice(listed, _MOST_TOLD):
        try:
            if _is_short(text):
                json_or_literal(text, MOST_WORDS if key == _NAMES else _MOST_WORDS)
        except RefusedValuesError as error:
            yield f"metadata says {key[:40]!r} {text[:60]!r}, which is ignored ({error})"
        except ValueError:
            pass


def _is_short(text: str) -> bool:
    return len(text) <= _LONGEST and _nesting(text) <= _MOST_NESTED


def _nesting(text: str) -> int:
    """Return how deep brackets lie in each other at most, those in strings counted too."""
    depth = deepest = 0
    for character in text:
        depth += (character in "[{(") - (character in "]})")
        deepest = max(deepest, depth)
    return deepest
