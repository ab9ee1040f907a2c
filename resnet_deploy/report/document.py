"""A result as something to read: tables, notes and charts, each cell derived once.

A view makes a :class:`Document` of a result; writers turn it into what a terminal, a browser, a
spreadsheet or a README shows, and know nothing of results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal, TypeVar

from resnet_deploy.report.chart import Chart
from resnet_deploy.report.words import versions
from resnet_deploy.results import Environment
from resnet_deploy.visible import visible_line

PASS, FAIL = "PASS", "FAIL"

T = TypeVar("T")

Tone = Literal["", "good", "bad", "caution", "dim", "strong"]


@dataclass(frozen=True)
class Cell:
    """What a cell says, and the number behind it, not rounded.

    ``full`` is what is written in its place where there is room: on pages and in files. ``below``
    are lines below ``text`` in a terminal: a line break in a name makes none.
    """

    text: str
    value: float | None = None
    tone: Tone = ""
    full: str = ""
    below: tuple[str, ...] = ()

    @classmethod
    def of(cls, value: float | None, write: Callable[[float], str], tone: Tone = "") -> Cell:
        """Return ``value`` as ``write`` puts it; a dash for None, what can't be known."""
        return UNKNOWN if value is None else cls(write(value), value, tone)

    @property
    def words(self) -> str:
        """All that it says, in one line."""
        return visible_line(self.full) or " ".join(self.lines)

    @property
    def lines(self) -> tuple[str, ...]:
        """What a terminal shows."""
        return tuple(map(visible_line, (self.text, *self.below)))


UNKNOWN = Cell("-")

Column = (
    tuple[str, Callable[[T], Cell | str]]
    | tuple[str, Callable[[T], float | None], Callable[[float], str]]
)
"""A column's name and what makes its cells of an item: a cell, or a value and how it is written."""


@dataclass(frozen=True)
class Table:
    """Rows below named columns; the first ``words`` columns are text, the others numbers.

    Without rows it is written as CSV only, for the names of its columns.

    A terminal shows the first ``shown`` rows (the last ones where it is negative, all where it is
    None) and says ``more`` in place of the others.
    """

    kind: ClassVar[str] = "table"

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: int = 1
    shown: int | None = None
    more: str = ""

    @classmethod
    def of(
        cls,
        caption: str,
        items: Iterable[T],
        columns: Iterable[Column[T] | None],
        *,
        words: int = 1,
        shown: int | None = None,
        more: str = "",
    ) -> Table:
        """Return a row for each of ``items``.

        Columns that are None are left out, so that one that depends on the result is one line.
        """
        kept = [column for column in columns if column is not None]
        names = tuple(column[0] for column in kept)
        rows = tuple(tuple(_cell(item, column) for column in kept) for item in items)
        return cls(caption, names, rows, words, shown, more)


def _cell(item: T, column: Column[T]) -> Cell:
    if len(column) == 3:
        return Cell.of(column[1](item), column[2])
    said = column[1](item)
    return Cell(said) if isinstance(said, str) else said


@dataclass(frozen=True)
class Notes:
    """Sentences, one a line."""

    kind: ClassVar[str] = "notes"

    lines: tuple[str, ...]
    tone: Tone = ""


Block = Chart | Table | Notes


@dataclass(frozen=True)
class Section:
    """A heading and what is below it; a terminal leaves ``detail`` out unless asked for it."""

    title: str
    blocks: tuple[Block, ...]
    _: KW_ONLY
    detail: bool = False

    @property
    def said(self) -> tuple[Block, ...]:
        """The blocks with something in them."""
        return tuple(
            block
            for block in self.blocks
            if not (isinstance(block, Table) and not block.rows)
            and not (isinstance(block, Notes) and not block.lines)
        )


@dataclass(frozen=True)
class Verdict:
    """The answer in short and in sentences without a capital or a full stop.

    ``status`` is ``good``, ``bad`` or ``plain``.
    """

    status: Literal["good", "bad", "plain"]
    word: str
    sentences: tuple[str, ...]

    @classmethod
    def check(cls, passed: bool, *sentences: str) -> Verdict:
        """Return the verdict of a check."""
        return cls("good", PASS, sentences) if passed else cls("bad", FAIL, sentences)

    @property
    def lines(self) -> tuple[str, ...]:
        """The verdict without a headline: a check's single sentence begins with its word."""
        if self.word in (PASS, FAIL) and len(self.sentences) == 1:
            return (f"{self.word}  {self.sentences[0]}",)
        return self.sentences


@dataclass(frozen=True)
class Tile:
    """A figure that counts, its name, and what it stands beside."""

    name: str
    value: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Document:
    """A whole report; ``topic`` is the kind of report, ``title`` what it is about.

    ``steps`` are what can be done next, ``method`` how it was measured. Where the numbers are
    times (``timed``), a terminal says where they were taken too.
    """

    topic: str
    title: str
    sections: tuple[Section, ...]
    verdict: Verdict | None = None
    tiles: tuple[Tile, ...] = ()
    steps: tuple[str, ...] = ()
    method: tuple[str, ...] = ()
    environment: Environment | None = None
    timed: bool = False

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """Where it was measured: what, and what it was."""
        where = self.environment
        if where is None:
            return ()
        return (
            ("Processor", where.cpu),
            ("Cores allowed", str(where.cores)),
            ("Instruction sets", ", ".join(where.isa) or "none that matter for int8"),
            ("Operating system", where.os),
            ("Python", where.python),
            ("Packages", versions(where.versions)),
        )
