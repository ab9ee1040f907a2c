"""Text for a terminal, a log or a page: what one would obey is shown instead.

Names of files, tensors and classes are a stranger's. An ESC in one of them could move the cursor,
set the window's title or hide a line; a mark that turns the direction of writing makes a name read
as another one.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import unicodedata
from collections.abc import Iterable
from typing import Any

_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_OBEYED = frozenset(("Cc", "Cs", "Zl", "Zp"))
"""Control characters, halves of surrogate pairs, and the separators of lines and paragraphs."""

_URL = re.compile(
    r"(\b[A-Za-z][A-Za-z0-9+.-]{1,30}:/{1,2})"  # pathlib makes one slash of two
    r"([^\s/?#<>]*@|[^\s/?#<>@:\[]*:(?!\d*(?:[/?#'\")>\],;.]|\s|$))\S{,500}@)?"
    r"([^\s?#'\"<>]*)([?#]\S*?(?=['\")>\],;:.]*(?:\s|$)))?"
)
"""Scheme, user and password, host and path, query; what ends a sentence behind it is not of it.

Where a colon follows that is before no port, it is before a password with a / or ? in it as it is.
"""

_SECRET = re.compile(r"SECRET|TOKEN|PASSWORD|ACCESS_KEY|API_KEY", re.IGNORECASE)

_SHORTEST_SECRET = 16
"""Letters; a shorter value of such a variable may be any word of a message."""


def visible(text: str) -> str:
    """Return ``text`` with such characters as Python would spell them; line breaks stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode() if _is_obeyed(character) else character
        for character in text
    )


def without_secrets(text: str) -> str:
    """Return ``text`` with what can be a key left out: *** stands for it.

    That is what comes before the @ and behind the ? of a URL (a user and a password, the signature
    of a signed one), and the value of a variable of the environment that is called a secret.
    """
    if ":/" in text:
        text = _URL.sub(_public, text)
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST_SECRET and value in text and _SECRET.search(name):
            text = text.replace(value, "***")
    return text


def _public(url: re.Match[str]) -> str:
    scheme, user, place, behind = url.groups()
    return f"{scheme}{'***@' if user else ''}{place}{'?***' if behind else ''}"


def _is_obeyed(character: str) -> bool:
    if character == "\n":
        return False
    return character in _TURNING or unicodedata.category(character) in _OBEYED


def visible_line(text: str) -> str:
    """Return ``text`` as :func:`visible` does, in one line: a name in it can't begin another."""
    return visible(text).replace("\n", "\\n")


def visible_json(value: Any, *, indent: int = 2, sort_keys: bool = False) -> bytes:
    """Return ``value`` as JSON in UTF-8, one line per item, with such characters spelled there.

    They are the same values, except for halves of surrogate pairs, which a file name not in UTF-8
    has and many readers refuse: each is a question mark. However long it gets, little more than
    the text itself is in memory.
    """
    encoder = json.JSONEncoder(indent=indent, sort_keys=sort_keys, ensure_ascii=False)
    text = io.BytesIO()
    for piece in encoder.iterencode(value):
        text.write((piece if piece.isascii() else _spelled(piece)).encode(errors="replace"))
    text.write(b"\n")
    return text.getvalue()


def _spelled(text: str) -> str:
    return "".join(
        f"\\u{ord(character):04x}"
        if _is_obeyed(character) and unicodedata.category(character) != "Cs"
        else character
        for character in text
    )


def recorded_line(words: Iterable[str]) -> str:
    """Return a command as :func:`shell_line` does, for a record that others read.

    What is secret in its URLs is left out.
    """
    return shell_line(map(without_secrets, words))


def shell_line(words: Iterable[str]) -> str:
    """Return a command for bash, zsh and ksh that hands over exactly these ``words``.

    It is one line in which nothing steers a terminal: a word with such characters stands in
    ``$'...'``, its bytes as octal escapes.
    """
    return " ".join(map(_shell_word, words))


def _shell_word(word: str) -> str:
    if not any(character == "\n" or _is_obeyed(character) for character in word):
        return shlex.quote(word)
    return "$'" + "".join(map(_in_dollar_quotes, word)) + "'"


def _in_dollar_quotes(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character != "\n" and not _is_obeyed(character):
        return character
    # A name of a file that is not UTF-8 has its bytes as halves of surrogate pairs.
    is_byte = "\udc80" <= character <= "\udcff"
    data = character.encode(errors="surrogateescape" if is_byte else "surrogatepass")
    return "".join(f"\\{byte:03o}" for byte in data)


def operand(path: str) -> str:
    """Return ``path`` so that no command takes it for an option."""
    return f"./{path}" if path.startswith("-") else path
