"""A page as data, and its one template: headings, tables, charts, where it was measured."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from markupsafe import Markup

from resnet_deploy import __version__
from resnet_deploy.results import Environment

if TYPE_CHECKING:
    from jinja2 import Template

GENERATOR = "resnet-deploy"
"""In the head of every page: what tells a page of this tool from any other HTML file."""

_ROWS_IN_SIGHT = 25
"""A longer table is folded up; on paper it is always open."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart from :mod:`resnet_deploy.report.html.charts` and what it shows."""

    kind: ClassVar[str] = "figure"

    chart: Markup
    caption: str
    heading: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of text; the first cell of a row is its header, the first ``words`` columns are text."""

    kind: ClassVar[str] = "table"

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1

    @property
    def folded(self) -> bool:
        """Whether the table is too long to be open from the start."""
        return len(self.rows) > _ROWS_IN_SIGHT


@dataclass(frozen=True, kw_only=True)
class Notes:
    """Sentences, one a line; ``caution`` sets off what makes the numbers doubtful."""

    kind: ClassVar[str] = "notes"

    lines: tuple[str, ...]
    caution: bool = False


Block = Figure | Table | Notes


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading and what is below it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer in a word and a sentence; ``status`` is ``good``, ``bad`` or ``plain``."""

    status: str
    word: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A figure that counts, its name, and what it stands beside."""

    name: str
    value: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Page:
    """A whole report; ``topic`` is the kind of report, ``title`` what it is about."""

    topic: str
    title: str
    verdict: Verdict
    tiles: tuple[Tile, ...]
    sections: tuple[Section, ...]
    environment: Environment | None


def render_page(page: Page) -> str:
    """Return ``page`` as one HTML document; the same page gives the same text."""
    return _template().render(
        page=page, version=__version__, generator=GENERATOR, facts=_facts(page.environment)
    )


def _facts(environment: Environment | None) -> list[tuple[str, str]]:
    if environment is None:
        return []
    versions = ", ".join(f"{name} {number}" for name, number in environment.versions.items())
    return [
        ("Processor", environment.cpu),
        ("Cores allowed", str(environment.cores)),
        ("Instruction sets", ", ".join(environment.isa) or "none that matter for int8"),
        ("Operating system", environment.os),
        ("Python", environment.python),
        ("Packages", versions),
    ]


@functools.cache
def _template() -> Template:
    from jinja2 import Environment as Templates
    from jinja2 import PackageLoader, StrictUndefined

    loader = PackageLoader("resnet_deploy.report.html")
    # Everything is escaped, whatever a template's name ends in.
    templates = Templates(
        autoescape=True,
        loader=loader,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return templates.get_template("page.html")
