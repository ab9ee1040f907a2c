"""The doctor's findings as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text


def render(rows: Sequence[tuple[str, str]]) -> Table:
    """Return a table of ``rows``, what and what was found; long findings are folded."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for what, found in rows:
        table.add_row(Text(what), Text(found))
    return table
