"""Text for a terminal or a log: what a terminal would obey is shown instead.

Names of files, tensors and classes are a stranger's. An ESC in one of them could move the cursor,
set the window's title or hide a line; a mark that turns the direction of writing makes a name read
as another one.
"""

from __future__ import annotations

import unicodedata

_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_OBEYED = frozenset(("Cc", "Cs", "Zl", "Zp"))
"""Control characters, halves of surrogate pairs, and the separators of lines and paragraphs."""


def visible(text: str) -> str:
    """Return ``text`` with such characters as Python would spell them; line breaks stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode() if _is_obeyed(character) else character
        for character in text
    )


def _is_obeyed(character: str) -> bool:
    if character == "\n":
        return False
    return character in _TURNING or unicodedata.category(character) in _OBEYED


def visible_json(text: str) -> str:
    """Return JSON with such characters in its strings spelled as JSON does: the same values.

    Halves of surrogate pairs stay: many readers refuse them, however they are spelled.
    """
    if text.isascii():
        return text
    return "".join(
        f"\\u{ord(character):04x}"
        if _is_obeyed(character) and unicodedata.category(character) != "Cs"
        else character
        for character in text
    )
