"""Results as documents, for a terminal, a browser, a spreadsheet or a README.

A view derives every cell once; the writers only differ in what they write it as. Nothing heavy is
imported before it is needed.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.errors import SpecError

if TYPE_CHECKING:
    from rich.console import Group

    from resnet_deploy.report.document import Document

VIEWS = {
    "BenchmarkResult": "benchmark",
    "BundleReport": "bundle",
    "Deployment": "deployment",
    "Diagnosis": "doctor",
    "EvalResult": "evaluation",
    "IsaReport": "isa",
    "ModelSummary": "summary",
    "ParityReport": "parity",
    "Prediction": "prediction",
    "Profile": "operator_times",
    "RegressionReport": "regression",
    "SaturationReport": "saturation",
    "SensitivityReport": "sensitivity",
    "TrainingResult": "training",
    "TuningReport": "tuning",
}
"""The class of a result -> the module of :mod:`resnet_deploy.report.views` that shows it."""

SEVERAL = frozenset({"BenchmarkResult", "Prediction"})
"""Results that are shown together: a sweep, the images of one call."""

_PARTS = {"BenchmarkSweep": "results", "Predictions": "predictions"}
"""Results that are several others -> the field that holds them."""

SUFFIXES = (".html", ".json", ".csv", ".md")


def view(result: Any) -> Document:
    """Return what there is to say about ``result``.

    ``result`` is one result, or a sequence of benchmarks (a sweep) or of predictions.

    Raises:
        SpecError: there is no view of such a value, or nothing in the sequence.
    """
    result = getattr(result, _PARTS.get(type(result).__name__, ""), result)
    several = isinstance(result, Sequence) and not isinstance(result, str | bytes)
    if several and not result:
        raise SpecError("there is no result to show")
    name = type(result[0] if several else result).__name__
    if name not in VIEWS or (several and name not in SEVERAL):
        raise SpecError(f"no report shows {'several ' * several}{name}")
    module = importlib.import_module(f"resnet_deploy.report.views.{VIEWS[name]}")
    if name in SEVERAL:
        result = result if several else (result,)
    document: Document = module.view(result)
    return document


def render(result: Any, width: int) -> Group:
    """Return ``result`` for a terminal of ``width`` columns, to be printed by rich."""
    from resnet_deploy.report.terminal import renderable

    return renderable(view(result), width)


def html(result: Any) -> str:
    """Return ``result`` as one HTML page with charts, which needs no script and no network."""
    from resnet_deploy.report.html_page.writer import page

    return page(view(result))


def csv(result: Any) -> str:
    """Return the tables of ``result`` as CSV, with numbers that are not rounded."""
    from resnet_deploy.report.csv_text import text

    return text(view(result))


def markdown(result: Any) -> str:
    """Return ``result`` as GitHub's Markdown, without charts."""
    from resnet_deploy.report.markdown_text import text

    return text(view(result))


def json(result: Any) -> str:
    """Return all fields of ``result`` and what follows from them, as indented JSON.

    Several are a list under the name of what they are.
    """
    import json

    from resnet_deploy.results import to_dict

    data: Any
    if isinstance(result, Sequence):
        kind = "predictions" if type(result[0]).__name__ == "Prediction" else "results"
        data = {kind: [to_dict(single) for single in result]}
    else:
        data = to_dict(result)
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


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
    # A file name that is no Unicode must not cost the whole report.
    write_atomically(path, writer(result).encode(errors="replace"))
