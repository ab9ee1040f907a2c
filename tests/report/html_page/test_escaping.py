"""Names come from file systems and label files: they are text, whatever they look like."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_deploy.report import html
from resnet_deploy.results import ParityReport
from tests.support.html_reading import read
from tests.support.reports.benchmarks import bench_result
from tests.support.reports.parts import ENVIRONMENT, diff
from tests.support.reports.quality import evaluation, parity_report

NASTY = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30),
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            "</title><h1>",
            '" onload="x',
            "a&amp;b",
            "{{ 7 * 7 }}",
            "]]>",
            "</style>",
            "<!--",
            "n\N{LATIN SMALL LETTER I WITH DIAERESIS}ve \N{CJK UNIFIED IDEOGRAPH-732B}" * 20,
        ]
    ),
)


@settings(max_examples=15)
@given(NASTY)
def test_class_names(name):
    found = read(html(evaluation(classes=(name, "b", "c"), each=3)))
    plain = read(html(evaluation(classes=("a", "b", "c"), each=3)))
    # A long name in a chart is shortened, and gets a title that has all of it.
    assert [tag for tag in found.tags if tag != "title"] == [
        tag for tag in plain.tags if tag != "title"
    ]
    assert [name for name, _ in found.attributes] == [name for name, _ in plain.attributes]
    assert name in found.texts["th"]


@settings(max_examples=15)
@given(NASTY)
def test_labels_commands_and_reasons(name):
    result = bench_result()
    subject = result.subjects[0]
    label = replace(subject, subject=replace(subject.subject, label=name))
    where = replace(ENVIRONMENT, command=name, cpu=name)
    odd = replace(
        result,
        subjects=(label, *result.subjects[1:]),
        environment=where,
        skipped={name: name},
    )
    found = read(html(odd))
    assert name in found.texts["th"]
    assert name in found.texts["code"]
    assert f"skipped {name}: {name}" in found.texts["li"]
    assert "script" not in found.tags


@settings(max_examples=15)
@given(NASTY, NASTY)
def test_modules_and_files(module, file):
    report: ParityReport = replace(parity_report(), model=file, layers=(diff(module, 1.0),))
    found = read(html(report))
    assert module in found.texts["th"]
    assert found.texts["h1"][0].strip() in file or not file.strip("/\\")
