"""What other exporters leave in the metadata of a file, and the names of classes in it.

It is data of a stranger: read as a literal of JSON or Python, never run, and bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from resnet_deploy.plain_values import RefusedValuesError, json_or_literal

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
    """Return what ``text`` says in JSON or as a Python literal.

    None where it is neither, or says what :func:`refused` tells.
    """
    if not _is_short(text):
        return None
    try:
        found: object = json_or_literal(text)
    except ValueError:
        return None
    return found


def refused(metadata: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each entry that says something ambiguous, and is ignored for it."""
    for key, text in metadata.items():
        if text.lstrip()[:1] in ("{", "[", "(") and _is_short(text):
            try:
                json_or_literal(text)
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
