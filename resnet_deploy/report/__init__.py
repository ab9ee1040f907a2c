"""Results as documents, for a terminal, a browser, a spreadsheet or a README.

A view derives every cell once; the writers only differ in what they write it as. Nothing heavy is
imported before it is needed.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.errors import SpecError
from resnet_deploy.visible import visible_json

if TYPE_CHECKING:
    from rich.console import Group

    from resnet_deploy.report.document import Document

VIEWS = {
    "AnswerResult": "answers",
    "BenchmarkResult": "benchmark",
    "BenchmarkSweep": "benchmark",
    "BundleReport": "bundle",
    "Deployment": "deployment",
    "Diagnosis": "doctor",
    "EvalResult": "evaluation",
    "IsaReport": "isa",
    "MatrixReport": "matrix",
    "ModelSummary": "summary",
    "ParityReport": "parity",
    "Predictions": "prediction",
    "RegressionReport": "regression",
    "SaturationReport": "saturation",
    "SensitivityReport": "sensitivity",
    "TrainingResult": "training",
    "TuningReport": "tuning",
    "WitnessReport": "witness",
}
"""The class of a result -> the module of :mod:`resnet_deploy.report.views` that shows it."""

SUFFIXES = (".html", ".json", ".csv", ".md")


def view(result: Any) -> Document:
    """Return what there is to say about ``result``.

    Raises:
        SpecError: there is no view of such a value.
    """
    name = type(result).__name__
    if name not in VIEWS:
        raise SpecError(f"no report shows {name}")
    # A dry run has done nothing that the verb's own view could show.
    shown = VIEWS[name] if getattr(result, "preview", None) is None else "preview"
    module = importlib.import_module(f"resnet_deploy.report.views.{shown}")
    document: Document = module.view(result)
    pictures = getattr(result, "preprocess", None)
    if pictures is None:
        return document
    from resnet_deploy.report.document import Notes, Section

    told = Section("Pictures", (Notes((f"pictures: {pictures.sentence}",)),))
    return replace(document, sections=(told, *document.sections))


def render(result: Any, width: int, *, detail: bool = False) -> Group:
    """Return ``result`` for a terminal of ``width`` columns, to be printed by rich.

    With ``detail`` it has the sections that are on pages alone otherwise.
    """
    from resnet_deploy.report.terminal import renderable

    return renderable(view(result), width, detail=detail)


def html(result: Any) -> str:
    """Return ``result`` as one HTML page with charts, which needs no script and no network."""
    from resnet_deploy.report.html_page.writer import page

    return page(view(result))


def notebook(value: Any) -> str:
    """Return a result, an artifact or a network as a notebook shows it: HTML without scripts."""
    from resnet_deploy.report import notebook_html as shown

    name = type(value).__name__
    if name in ("Artifact", "Network"):
        facts: str = getattr(shown, name.lower())(value)
        return facts
    return shown.frame(view(value).title, html(value))


def csv(result: Any) -> str:
    """Return the tables of ``result`` as CSV, with numbers that are not rounded."""
    from resnet_deploy.report.csv_text import text

    return text(view(result))


def markdown(result: Any) -> str:
    """Return ``result`` as GitHub's Markdown, without charts."""
    from resnet_deploy.report.markdown_text import text

    return text(view(result))


def json(result: Any) -> str:
    """Return all fields of ``result`` and what follows from them, as indented JSON."""
    from resnet_deploy.results import to_dict

    return visible_json(to_dict(result)).decode()


def write(result: Any, path: Path) -> None:
    """Write ``result`` to ``path`` as what its suffix says, whole or not at all.

    Raises:
        SpecError: the suffix is not one of ``SUFFIXES``.
        ArtifactError: the file can't be written.
    """
    writers = dict(zip(SUFFIXES, (html, json, csv, markdown), strict=True))
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise SpecError(f"{path}: a report ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    write_atomically(path, writer(result).encode())
