"""The checks: those of proselint that ``style.toml`` lists, and one per section of its own."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from proselint.checks import __register__ as PROSELINT
from proselint.registry.checks import Check, Padding
from proselint.registry.checks.engine import Fancy, Fast, RegexOptions
from proselint.registry.checks.types import ExistenceSimple, PreferredForms

from docgen.prose.texts import prose

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

STYLE: Final = Path(__file__).with_name("style.toml")

_MESSAGES: Final = {
    "names": 'write {0}, not "{1}"',
    "terms": 'the glossary calls it {0}, not "{1}"',
    "spelling": 'spell it {0}, not "{1}"',
    "phrases": 'plain English for "{1}": {0}',
    "weasel": '"{1}" claims and does not say: write {0}',
    "pages": 'plain English for "{1}": {0}',
}
_DOUBLED: Final = Check(
    check_type=ExistenceSimple(r"(?<!import.)\b([A-Za-z]{2,})\s\1\b"),
    engine=Fancy(RegexOptions(case_insensitive=False)),
    path="doubled",
    message='a word stands twice: "{0}"',
)


class Finding(NamedTuple):
    """What is to be worded otherwise, and where."""

    path: Path
    line: int
    message: str


def findings(path: Path) -> list[Finding]:
    """Return what the checks have against the prose of the file at ``path``."""
    # One space is all that stands between words; a check may look at the characters around one.
    text = re.sub(r"[ \t]*\n[ \t]*", "\n", re.sub(r"[ \t]+", " ", f"\n{prose(path)}\n"))
    found = {
        (text.count("\n", 0, start), " ".join(result.message.split()))
        for check in checks(pages=path.suffix == ".md")
        for result in check.check_with_flags(text)
        for start in [_first(text, *result.span)]
    }
    return [Finding(path, line, message) for line, message in sorted(found)]


@cache
def checks(*, pages: bool) -> tuple[Check, ...]:
    """Return every check of a file; ``pages``: of one that users read as a page."""
    style = tomllib.loads(STYLE.read_text(encoding="utf-8"))
    theirs = [one for one in PROSELINT if any(map(one.matches_partial, style["checks"]))]
    unknown = [
        name for name in style["checks"] if not any(one.matches_partial(name) for one in PROSELINT)
    ]
    if unknown:
        raise ValueError(f"proselint has no checks {unknown}")
    sections = [name for name in _MESSAGES if pages or name != "pages"]
    return (*theirs, _DOUBLED, *(one for name in sections for one in _own(name, style[name])))


def _own(section: str, words: Mapping[str, str]) -> Iterator[Check]:
    """Yield the checks of a section: RE2 is several times as fast, and looks neither way."""
    options = RegexOptions(case_insensitive=section not in ("names", "spelling"))
    for engine, looks in ((Fast(options), False), (Fancy(options), True)):
        items = {
            rf"(?:{pattern})".replace(" ", r"\s"): said
            for pattern, said in words.items()
            if ("(?<" in pattern) == looks
        }
        yield Check(
            check_type=PreferredForms(items, padding=Padding.WORDS_IN_TEXT),
            engine=engine,
            path=f"style.{section}",
            message=_MESSAGES[section],
        )


def _first(text: str, start: int, end: int) -> int:
    """Return where the words of a finding begin, which may have white space in front."""
    return next((place for place in range(start, end) if not text[place].isspace()), start)
