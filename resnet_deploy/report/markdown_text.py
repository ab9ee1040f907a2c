"""A document as GitHub's Markdown: headings, tables and notes, for a README or a pull request."""

from __future__ import annotations

import re

from resnet_deploy.report.document import Block, Document, Notes, Table
from resnet_deploy.visible import visible

MARK = "<!-- written by resnet-deploy -->"
"""A comment, not shown, by which a page of this tool is recognised."""

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&$#])")
_STARTS_A_BLOCK = re.compile(r"^(\d*)([-+=.)])")
_BACKTICKS = re.compile(r"`+")


def text(document: Document) -> str:
    """Return ``document`` without its charts."""
    parts = [f"# {_line(document.title)}", f"*{_escaped(document.topic)}*"]
    if document.verdict is not None:
        sentences = "  \n".join(map(_line, document.verdict.sentences))
        parts += [f"**{_escaped(document.verdict.word)}**", sentences]
    for section in document.sections:
        blocks = [part for block in section.said for part in _block(block, section.title)]
        parts += [f"## {_line(section.title)}", *blocks] if blocks else []
    if document.steps:
        parts += ["## What to do with it", "\n".join(f"- {_code(line)}" for line in document.steps)]
    if document.method:
        parts += ["## How it was measured", _listed(document.method)]
    if document.environment is not None:
        facts = _listed(tuple(f"{name}: {value}" for name, value in document.facts))
        command = f"- Repeat: {_code(document.environment.command)}"
        parts += ["## Measured on", f"{facts}\n{command}"]
    parts.append(MARK)
    return visible("\n\n".join(part for part in parts if part)) + "\n"


def _block(block: Block, title: str) -> list[str]:
    if isinstance(block, Table):
        caption = [] if block.caption == title else [f"{_line(block.caption)}:"]
        return [*caption, _table(block)]
    return [_listed(block.lines)] if isinstance(block, Notes) else []


def _table(table: Table) -> str:
    rules = [":--" if number < table.words else "--:" for number in range(len(table.columns))]
    rows = [table.columns, *([cell.words for cell in row] for row in table.rows)]
    header, *lines = (map(_escaped, row) for row in rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rules, *lines))


def _listed(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {_line(line)}" for line in lines)


def _escaped(words: str) -> str:
    """Return ``words`` as text and nothing else: neither markup nor HTML nor a second line."""
    return _SPECIAL.sub(r"\\\1", " ".join(words.split()))


def _line(words: str) -> str:
    """The same at the start of a line, where a dash or a number begins a list."""
    return _STARTS_A_BLOCK.sub(r"\1\\\2", _escaped(words))


def _code(line: str) -> str:
    """Return ``line`` as code, fenced by more backticks than it has."""
    longest = max((len(run) for run in _BACKTICKS.findall(line)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    return f"{fence}{space}{' '.join(line.split())}{space}{fence}"
