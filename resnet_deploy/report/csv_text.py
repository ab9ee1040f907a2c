"""A document's tables as CSV (RFC 4180), for spreadsheets and scripts."""

from __future__ import annotations

import csv
import io

from resnet_deploy.report.document import UNKNOWN, Cell, Document, Table
from resnet_deploy.visible import visible

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A text that begins so is computed by spreadsheets (OWASP, CSV injection)."""


def text(document: Document) -> str:
    """Return all tables, a blank line between two; their captions where there are several.

    Numbers are written as they were measured, not as a table rounds them; what can't be known is
    empty. Names are as a terminal shows them: JSON has them unchanged.
    """
    tables = [
        block
        for section in document.sections
        for block in section.blocks
        if isinstance(block, Table)
    ]
    return "\n".join(_table(table, named=len(tables) > 1) for table in tables)


def _table(table: Table, *, named: bool) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    if named:
        writer.writerow([_text(table.caption)])
    writer.writerow([_text(name) for name in table.columns])
    writer.writerows([_value(cell) for cell in row] for row in table.rows)
    return stream.getvalue()


def _value(cell: Cell) -> str:
    if cell == UNKNOWN:
        return ""
    return _text(cell.words) if cell.value is None else repr(cell.value)


def _text(words: str) -> str:
    line = visible(" ".join(words.split("\n")))
    return f"'{line}" if line.startswith(_FORMULA) else line
