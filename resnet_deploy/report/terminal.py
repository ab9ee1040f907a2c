"""A document for a terminal: tables as wide as there is room, the verdict last."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from resnet_deploy.report.document import FAIL, Cell, Document, Notes, Table, Tone
from resnet_deploy.visible import visible, visible_line

_STYLES: dict[Tone, str] = {
    "": "",
    "good": "green",
    "bad": "bold red",
    "caution": "yellow",
    "dim": "dim",
    "strong": "bold",
}
_MOST_WORDS = 24
"""Columns that a column of text takes at least; what is longer is folded."""

_GAP = 2


def renderable(document: Document, width: int, *, detail: bool = False) -> Group:
    """Return ``document`` for ``width`` columns: no number is cut off where 40 are enough.

    Sections that are ``detail`` are left out without that.
    """
    parts: list[RenderableType] = []
    for section in document.sections:
        for block in section.said if detail or not section.detail else ():
            if isinstance(block, Table):
                if parts and isinstance(parts[-1], Text):
                    parts.append(Text(""))
                parts += _tables(block, width)
            elif isinstance(block, Notes):
                parts += _lines(block.lines, block.tone)
    verdict = document.verdict
    if verdict is not None:
        failed = verdict.word == FAIL
        parts += _lines(verdict.lines, "bad" if failed else "strong")
    parts += _lines(document.steps)
    method = document.method
    if document.timed and document.environment is not None:
        where = "; ".join(f"{name.lower()}: {value}" for name, value in document.facts)
        method += (where, f"repeat: {document.environment.command}")
    if method:
        parts += [Text(""), *_lines(method, "dim")]
    return Group(*parts)


def _lines(lines: Iterable[str], tone: Tone = "") -> list[RenderableType]:
    return [Text(f"  {visible_line(line)}", style=_STYLES[tone], overflow="fold") for line in lines]


def _tables(table: Table, width: int) -> list[RenderableType]:
    """Return ``table``, or where it is too wide several with the same first columns."""
    shown = table.rows
    if table.shown is not None:
        shown = shown[: table.shown] if table.shown > 0 else shown[table.shown :]
    groups = _groups(table, shown, width)
    # Not as the title of the first one, which is folded where the table is narrow.
    found: list[RenderableType] = [
        Text(visible_line(table.caption), style="italic", overflow="fold")
    ]
    found += [_table(table, shown, columns) for columns in groups]
    hidden = len(table.rows) - len(shown)
    more = table.more or f"and {hidden:,} more: see --json"
    return [*found, *(_lines((more,), "dim") if hidden else ())]


def _groups(table: Table, rows: tuple[tuple[Cell, ...], ...], width: int) -> list[list[int]]:
    """Return the columns of each table that ``table`` is split into, by number."""
    words = list(range(table.words))
    room = width - sum(min(_width(table, rows, column), _MOST_WORDS) + _GAP for column in words)
    groups, left = [words.copy()], room
    for column in range(table.words, len(table.columns)):
        needed = _width(table, rows, column) + _GAP
        if needed > left and len(groups[-1]) > table.words:
            groups.append(words.copy())
            left = room
        groups[-1].append(column)
        left -= needed
    return groups


def _width(table: Table, rows: tuple[tuple[Cell, ...], ...], column: int) -> int:
    header = visible(table.columns[column]).split("\n")
    lines = (line for row in rows for line in row[column].lines)
    return max(map(cell_len, (*header, *lines)))


def _table(table: Table, rows: tuple[tuple[Cell, ...], ...], columns: list[int]) -> RichTable:
    # Names go through Text, as brackets in a plain string would be read as styles.
    shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        header = Text(visible(table.columns[column]))
        if column < table.words:
            style = "bold" if column == 0 else ""
            shown.add_column(header, overflow="fold", style=style)
        else:
            shown.add_column(header, justify="right", no_wrap=True)
    for row in rows:
        cells = (row[column] for column in columns)
        shown.add_row(*(Text("\n".join(cell.lines), style=_STYLES[cell.tone]) for cell in cells))
    return shown
