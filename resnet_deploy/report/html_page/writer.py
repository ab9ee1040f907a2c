"""A document as one self-contained HTML page: no script, no network, light, dark and on paper."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from resnet_deploy.report.chart import Bars, Chart, Distributions, Forest, Matrix, Scatter
from resnet_deploy.report.document import Document
from resnet_deploy.report.html_page.charts.matrix import matrix
from resnet_deploy.report.html_page.charts.rows import bars, distributions, forest
from resnet_deploy.report.html_page.charts.scatter import scatter
from resnet_deploy.version import __version__
from resnet_deploy.visible import visible

if TYPE_CHECKING:
    from jinja2 import Template

GENERATOR = "resnet-deploy"
"""In the head of every page: what tells a page of this tool from any other HTML file."""

_DRAW: dict[type[Chart], Callable[[Any], Markup]] = {
    Bars: bars,
    Distributions: distributions,
    Forest: forest,
    Matrix: matrix,
    Scatter: scatter,
}


def page(document: Document) -> str:
    """Return ``document`` as one HTML page; the same document gives the same text."""
    written = _template().render(
        page=document,
        version=__version__,
        generator=GENERATOR,
        draw=lambda chart: _DRAW[type(chart)](chart),
        sentence=_sentence,
    )
    return visible(written)


def _sentence(text: str) -> str:
    end = "" if text.endswith(".") else "."
    return f"{text[:1].upper()}{text[1:]}{end}"


@functools.cache
def _template() -> Template:
    from jinja2 import Environment as Templates
    from jinja2 import PackageLoader, StrictUndefined

    # Everything is escaped, whatever a template's name ends in.
    templates = Templates(
        autoescape=True,
        loader=PackageLoader("resnet_deploy.report.html_page"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return templates.get_template("page.html")
