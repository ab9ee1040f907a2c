"""What other exporters leave in the metadata of a file, and the names of classes in it.

It is data of a stranger: read as a literal of JSON or Python, never run, and bounded.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping

_LONGEST = 1 << 20
"""Characters of one entry: ImageNet-21k's names take half of them."""

_MOST_NESTED = 8
"""Brackets in brackets; names are a list or a map."""


def class_names(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names under ``names``, a list or a map from the number of the class.

    Empty where there are none, or where a number or a name is missing.
    """
    found = literal(metadata.get("names", ""))
    if isinstance(found, dict):
        try:
            numbered = {int(key): name for key, name in found.items()}
        except (TypeError, ValueError, OverflowError):
            return ()
        if set(numbered) != set(range(len(found))):
            return ()
        found = [numbered[number] for number in range(len(found))]
    if not isinstance(found, list | tuple):
        return ()
    names = tuple(" ".join(name.split()) for name in found if isinstance(name, str))
    return names if len(names) == len(found) and all(map(str.isprintable, names)) else ()


def literal(text: str) -> object:
    """Return what ``text`` says in JSON or as a Python literal; None where it is neither."""
    if len(text) > _LONGEST or _nesting(text) > _MOST_NESTED:
        return None
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        try:
            found = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            return None
    return found


def _nesting(text: str) -> int:
    """Return how deep brackets lie in each other at most, those in strings counted too."""
    depth = deepest = 0
    for character in text:
        depth += (character in "[{(") - (character in "]})")
        deepest = max(deepest, depth)
    return deepest
