"""What of a file is prose: pages without their code, and of code the comments and messages.

Every function returns a text of as many lines as the file has, so that a place in it is a line of
the file. What is no prose is a ``§``, which no phrase goes across; what parts the pieces of one
sentence (quotes, comment marks, indentation) is a space.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

CUT: Final = "§"

_FENCE: Final = re.compile(r"^( *)(```|~~~).*?^\1\2", re.S | re.M)
_INLINE: Final = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.S)
_HIDDEN: Final = re.compile(
    r"<!--.*?-->"
    r"|\{%.*?%\}|\{\{.*?\}\}|\$\{[^}]*\}"  # what templates fill in
    r"|(?<=\])\([^)\s]*\)|<[^>\n]*>|https?://\S+"
    r"|(?<![\w-])--?[a-z][\w-]*",  # an option
    re.S,
)
_ROLE: Final = re.compile(r":\w+:(?=`)")
_ESCAPE: Final = re.compile(r"\\.", re.S)
_FIELD: Final = re.compile(r"\{[^{}]*\}")
_QUOTES: Final = re.compile(r"^([A-Za-z]*)('''|\"\"\"|'|\")(.*)\2$", re.S)
_C_PARTS: Final = re.compile(
    r"//(?P<line>[^\n]*)"
    r"|/\*(?P<block>.*?)\*/"
    r"|\"(?P<double>(?:[^\"\\\n]|\\.)*)\""
    r"|'(?P<single>(?:[^'\\\n]|\\.)*)'"
    r"|`(?P<template>(?:[^`\\]|\\.)*)`",
    re.S,
)


def markdown(text: str) -> str:
    """Return a page without code, links' targets and what a template fills in."""
    for pattern in (_FENCE, _INLINE, _HIDDEN):
        text = pattern.sub(_blank, text)
    return text


def python(text: str, *, messages: bool = True) -> str:
    """Return the comments and docstrings of a module, and its other strings with ``messages``."""
    lines = text.splitlines(keepends=True)
    kept: list[str] = []
    end = (1, 0)
    before = tokenize.NEWLINE  # what a docstring stands behind
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        kept.append(_between(lines, end, token.start))
        end = token.end
        if token.type == tokenize.COMMENT:
            kept.append(" " + _inline(token.string[1:]))
        elif token.type == tokenize.STRING:
            docstring = before in (tokenize.NEWLINE, tokenize.INDENT)
            kept.append(_string(token.string) if messages or docstring else _blank(token.string))
        elif token.type in _MIDDLES:
            kept.append(_inline(_ESCAPE.sub("  ", token.string)) if messages else CUT)
        elif token.string.strip():
            kept.append(_blank(token.string))
        if token.type not in (tokenize.COMMENT, tokenize.DEDENT, tokenize.NL):
            before = token.type
    return "".join(kept)


def c_like(text: str) -> str:
    """Return the comments and strings of C++, Java, Swift or JavaScript."""
    kept, end = [], 0
    for match in _C_PARTS.finditer(text):
        kept.append(_blank(text[end : match.start()]))
        part = match[match.lastgroup or 0]
        if match.lastgroup == "block":
            part = re.sub(r"^ *\*", lambda found: " " * len(found[0]), part, flags=re.M)
        elif match.lastgroup != "line":
            if not re.search(r"\s", part.strip()):
                part = CUT
            part = _ESCAPE.sub(_spaces, part)
        kept.append(f"  {markdown(part)}")
        end = match.end()
    return "".join([*kept, _blank(text[end:])])


def hash_comments(text: str) -> str:
    """Return the comments of a shell script, TOML, YAML or CMake."""
    lines = [re.split(r"(?<!\S)#", line, maxsplit=1) for line in text.split("\n")]
    return "\n".join(f"{_blank(code)} {_inline(' '.join(rest))}" for code, *rest in lines)


_KINDS: Final[Mapping[str, Callable[[str], str]]] = {
    **dict.fromkeys((".md", ".html"), markdown),
    ".py": python,
    **dict.fromkeys((".cpp", ".hpp", ".c", ".h", ".mm", ".java", ".mjs", ".mts", ".js"), c_like),
    **dict.fromkeys((".toml", ".yml", ".yaml", ".cmake", ".txt"), hash_comments),
}


def prose(path: Path) -> str:
    """Return what of the file at ``path`` is prose; of tests no strings, which may be anything."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return python(text, messages="tests" not in path.parts)
    return _KINDS[path.suffix](text) if path.suffix in _KINDS else hash_comments(text)


def readable(path: Path) -> bool:
    """Return whether it is known what of the file at ``path`` is prose."""
    return path.suffix in _KINDS or path.name in ("Makefile", "run", "Dockerfile")


# Python 3.12 gives f-strings in parts.
_MIDDLES: Final = {getattr(tokenize, "FSTRING_MIDDLE", None)} - {None}


def _string(literal: str) -> str:
    found = _QUOTES.match(literal)
    if found is None:
        return _blank(literal)
    body = found[3]
    if not re.search(r"\s", body.strip()):  # a name, a key, a format: no words of a sentence
        return _blank(literal)
    if "r" not in found[1].lower():
        body = _ESCAPE.sub(_spaces, body)
    if "f" in found[1].lower():
        body = _FIELD.sub(_blank, body)
    return f" {_inline(body)} "


def _inline(text: str) -> str:
    """Return ``text`` without roles, code and addresses."""
    for pattern in (_ROLE, _INLINE, _HIDDEN):
        text = pattern.sub(_blank, text)
    return text


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    """Return the white space, and the line ends, between two tokens."""
    if start[0] == end[0]:
        return lines[start[0] - 1][start[1] : end[1]] if start[0] <= len(lines) else ""
    return "\n" * (end[0] - start[0])


def _blank(found: re.Match[str] | str) -> str:
    text = found if isinstance(found, str) else found[0]
    return CUT + "\n" * text.count("\n") if text.strip() else text


def _spaces(found: re.Match[str]) -> str:
    """Return what stands for an escape: a phrase does not go across lines."""
    return {"\n": "\n", "n": CUT}.get(found[0][1], "  ")
