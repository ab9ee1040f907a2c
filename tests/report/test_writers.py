"""One document, five ways to write it: nothing is lost, and names stay names."""

from __future__ import annotations

import csv as csv_module
import io
import json as json_module
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_deploy.errors import SpecError
from resnet_deploy.report import VIEWS, csv, html, json, markdown, view, write
from resnet_deploy.report.csv_text import text as as_csv
from resnet_deploy.report.document import Cell, Document, Notes, Section, Table, Verdict
from resnet_deploy.report.html_page.writer import page
from resnet_deploy.report.markdown_text import text as as_markdown
from resnet_deploy.results import Prediction, Predictions, ScoredClass
from resnet_deploy.visible import visible_line
from tests.support.hostile import NAMES
from tests.support.html_reading import read
from tests.support.reports.benchmarks import bench_result
from tests.support.reports.quality import deployment, evaluation, parity_report
from tests.support.reports.samples import RESULTS, diagnosis, summary, training
from tests.support.terminal import printed

named = pytest.mark.parametrize("name", [*NAMES, "[red]x[/red]", "nul\0"], ids=repr)

STEERS = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What a terminal or a reader obeys, except for ends of lines."""


def document(name: str) -> Document:
    """A document that says ``name`` in every place."""
    table = Table.of(
        name,
        [(name, Cell("1.0", 1.0)), ("b", Cell(name))],
        [("what", lambda row: row[0]), (name, lambda row: row[1])],
    )
    section = Section(name, (table, Notes((name,))))
    return Document(
        topic=name,
        title=name,
        sections=(section,),
        verdict=Verdict("plain", name, (name,)),
        steps=(name,),
        method=(name,),
    )


def predicted(name: str) -> Predictions:
    found = ScoredClass(index=0, label=name, probability=0.5, logit=1.0)
    image = Prediction(image=name, classes=(found,))
    return Predictions(model="net.onnx", sha256="0" * 64, predictions=(image,))


@pytest.mark.parametrize("kind", RESULTS)
def test_every_kind_is_written_in_every_way(kind: str) -> None:
    result = RESULTS[kind]
    assert len(printed(result).splitlines()) > 2
    assert html(result).startswith("<!DOCTYPE html>")
    assert json_module.loads(json(result))
    tables = [row for row in csv_module.reader(io.StringIO(csv(result))) if len(row) > 1]
    assert tables
    text = markdown(result)
    assert text.startswith(f"# {view(result).title.split()[0]}"[:5])
    assert "\n\n\n" not in text


def test_every_view_has_a_sample() -> None:
    assert {type(result).__name__ for result in RESULTS.values()} == set(VIEWS)


def _without() -> dict[str, Any]:
    """Results whose fields are None, or empty, where they may be."""
    bench, parity, made, net = bench_result(), parity_report(), deployment(), summary()
    subjects = tuple(replace(samples, logits=None, top1_equal=()) for samples in bench.subjects)
    assert made.sensitivity is not None
    assert made.budget is not None
    bare = replace(made.sensitivity.layers[0].int8, paired=None)
    layers = tuple(replace(layer, int8=bare, mixed=bare) for layer in made.sensitivity.layers)
    trials = tuple(replace(trial, fidelity=bare, times=None) for trial in made.budget.trials)
    return {
        "bench": replace(bench, subjects=subjects, ratios=()),
        "parity": replace(
            parity,
            cases=tuple(replace(case, top1_equal=()) for case in parity.cases),
            environment=None,
        ),
        "evaluate": replace(
            evaluation(), against=None, listed=1, confidences=(), predicted=(), truth=(), classes=()
        ),
        "isa": replace(
            RESULTS["isa"],
            reference=None,
            environment=None,
            runs=tuple(
                replace(run, top1_equal=(), reference=None, reference_top1_equal=())
                for run in RESULTS["isa"].runs
            ),
        ),
        "saturation": replace(RESULTS["saturation"], environment=None, layers=()),
        "quantize": replace(
            made,
            sensitivity=replace(made.sensitivity, layers=layers),
            budget=replace(made.budget, max_drop=None, min_agreement=0.9, trials=trials),
        ),
        "export": replace(made, sensitivity=None, budget=None, files={}),
        "tune": replace(RESULTS["tune"], shipped=None, trials=RESULTS["tune"].trials[:1]),
        "summary": replace(net, paper_flops=None),
        "file": replace(
            net, paper_flops=None, file_bytes=1, precision="fp32", opset=18, min_onnxruntime="1.14"
        ),
        "train": replace(training(), epochs=(), environment=None, interrupted="SIGINT", files={}),
        "doctor": replace(diagnosis(), quota=None, missing=(), isas={}),
    }


@pytest.mark.parametrize("kind", _without())
def test_what_is_not_known_is_not_written_as_none(kind: str) -> None:
    result = _without()[kind]
    for said in (printed(result), html(result), csv(result), markdown(result)):
        assert said
        assert "None" not in said
    assert json_module.loads(json(result))


@named
def test_html_escapes(name: str) -> None:
    written = page(document(name))
    found, plain = read(written), read(page(document("plain")))
    assert found.tags == plain.tags
    assert visible_line(name) in found.texts["th"]
    assert not STEERS.search(written)


@named
def test_csv_quotes(name: str) -> None:
    lines = list(csv_module.reader(io.StringIO(csv(predicted(name)))))
    assert len(lines) == 2
    shown = visible_line(name)
    assert lines[1] == [f"'{shown}" if name.startswith(tuple("=+-@")) else shown] * 2 + ["0.5"]


@named
def test_markdown_escapes(name: str) -> None:
    written, plain = as_markdown(document(name)), as_markdown(document("plain"))
    if name.strip():
        assert written.count("\n") == plain.count("\n")
    rows = [line for line in written.splitlines() if line.startswith("|")]
    assert [row.replace(r"\|", "").count("|") for row in rows] == [3] * 4
    prose = "\n".join(line for line in written.splitlines() if not line.startswith("- `"))
    assert "<" not in re.sub(r"\\<|<!-- written by resnet-deploy -->", "", prose)
    assert not STEERS.search(written)


def test_markdown_escapes_pipes_and_begins_no_list() -> None:
    assert r"| a\|b | a\|b | 50.00% |" in markdown(predicted("a|b"))
    written = as_markdown(document("1. one"))
    assert r"# 1\. one" in written
    assert "`` `code` ``" in as_markdown(document("`code`"))


@named
def test_a_terminal_shows_names_and_obeys_none(name: str) -> None:
    shown = printed(predicted(name))
    assert not STEERS.search(shown)
    assert "".join(visible_line(name).split()) in "".join(shown.split())
    # A name begins no line of its own: all that it is folded into is in its column.
    assert not [line for line in shown.splitlines() if line.startswith("touch OWNED")]


@settings(max_examples=50)
@given(st.text(min_size=1, max_size=20))
def test_any_name_at_all(name: str) -> None:
    result = predicted(name)
    assert printed(result, 60)
    assert read(html(result)).tags == read(html(predicted("a"))).tags
    assert len(list(csv_module.reader(io.StringIO(csv(result))))) == 2
    assert markdown(result).count("\n") == markdown(predicted("a")).count("\n")


def test_several_tables_in_a_file_are_named() -> None:
    table = Table.of("a table", ["1"], [("x", str)])
    two = Section("t", (table, table))
    assert as_csv(Document(topic="", title="", sections=(two,))) == (
        "a table\nx\n1\n\na table\nx\n1\n"
    )


@pytest.mark.parametrize(
    ("suffix", "start"),
    [(".html", "<!DOCTYPE html>"), (".json", "{"), (".csv", "kernels,"), (".MD", "# resnet34")],
)
def test_the_suffix_says_what_is_written(suffix: str, start: str, tmp_path: Path) -> None:
    target = tmp_path / "new" / f"report{suffix}"
    write(RESULTS["isa"], target)
    assert target.read_text(encoding="utf-8").startswith(start)
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_another_suffix_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"\.html, \.json, \.csv or \.md") as caught:
        write(RESULTS["isa"], tmp_path / "report.pdf")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_no_unicode_does_not_cost_the_report(tmp_path: Path) -> None:
    for suffix in (".html", ".csv", ".md", ".json"):
        target = tmp_path / f"r{suffix}"
        write(predicted("\udcff.jpg"), target)
        assert (b"?.jpg" if suffix == ".json" else rb"\udcff.jpg") in target.read_bytes()


def test_what_nobody_can_show() -> None:
    with pytest.raises(SpecError, match="no report shows str"):
        view("text")
    with pytest.raises(SpecError, match="no report shows list"):
        view([RESULTS["isa"]] * 2)


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, resnet_deploy.report as r\n"
        "heavy = {'rich', 'jinja2', 'numpy', 'torch', 'onnxruntime'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
