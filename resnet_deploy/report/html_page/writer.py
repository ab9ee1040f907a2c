"""A document as one self-contained HTML page: no script, no network, light, dark and on paper."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from markupsafe import Markup

from resnet_deploy.report.chart import Bars, Chart, Distributions, Forest, Matrix, Scatter
from resnet_deploy.report.document import Document, Table
from resnet_deploy.report.html_page.charts.bars import bars
from resnet_deploy.report.html_page.charts.distribution import distributions
from resnet_deploy.report.html_page.charts.forest import forest
from resnet_deploy.report.html_page.charts.matrix import matrix
from resnet_deploy.report.html_page.charts.scatter import scatter
from resnet_deploy.version import __version__

if TYPE_CHECKING:
    from jinja2 import Template

GENERATOR = "resnet-deploy"
"""In the head of every page: what tells a page of this tool from any other HTML file."""

_ROWS_IN_SIGHT = 25
"""A longer table is folded up; on paper it is always open."""


def page(document: Document) -> str:
    """Return ``document`` as one HTML page; the same document gives the same text."""
    return _template().render(
        page=document,
        version=__version__,
        generator=GENERATOR,
        draw=_draw,
        folded=_folded,
        sentence=_sentence,
    )


def _draw(chart: Chart) -> Markup:
    if isinstance(chart, Bars):
        return bars(chart)
    if isinstance(chart, Forest):
        return forest(chart)
    if isinstance(chart, Distributions):
        return distributions(chart)
    if isinstance(chart, Matrix):
        return matrix(chart)
    assert isinstance(chart, Scatter)
    return scatter(chart)


def _folded(table: Table) -> bool:
    return len(table.rows) > _ROWS_IN_SIGHT


def _sentence(text: str) -> str:
    end = "" if text.endswith(".") else "."
    return f"{text[:1].upper()}{text[1:]}{end}"


@functools.cache
def _template() -> Template:
    from jinja2 import Environment as Templates
    from jinja2 import PackageLoader, StrictUndefined

    loader = PackageLoader("resnet_deploy.report.html_page")
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
