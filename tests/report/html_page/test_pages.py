"""What every page must be: one document that needs nothing else, and says all that it shows."""

from __future__ import annotations

import itertools
import re

import pytest

from resnet_deploy.report import html
from tests.support.html_reading import read
from tests.support.reports.parts import ENVIRONMENT
from tests.support.reports.samples import CHARTED, RESULTS


@pytest.fixture(params=RESULTS)
def page(request) -> str:
    return html(RESULTS[request.param])


def test_the_same_result_gives_the_same_bytes(page, request):
    assert html(RESULTS[request.node.callspec.params["page"]]) == page


def test_nothing_is_loaded_and_nothing_runs(page):
    assert "default-src 'none'" in page
    assert not re.search(r"https?://|//cdn|@import|url\(|<script|javascript:", page)
    names = {name for name, _ in read(page).attributes}
    assert not any(name.startswith("on") for name in names)
    assert [value for name, value in read(page).attributes if name in ("src", "href")] == ["data:,"]


def test_the_document_is_well_formed_and_its_headings_skip_nothing(page):
    found = read(page)
    assert page.startswith("<!DOCTYPE html>\n")
    assert ("lang", "en") in found.attributes
    assert found.tags.count("h1") == 1
    assert found.levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(found.levels))


def test_every_chart_is_described_and_its_numbers_are_in_a_table(page):
    found = read(page)
    charts = found.tags.count("svg")
    assert found.tags.count("desc") == charts
    assert all(text.strip() for text in found.texts.get("desc", []))
    tables = found.tags.count("table")
    assert tables >= 1
    assert found.tags.count("caption") == tables
    assert found.tags.count("td") > 0
    scopes = [value for name, value in found.attributes if name == "scope"]
    assert set(scopes) == {"col", "row"}
    assert len(scopes) == found.tags.count("th")


def test_no_number_is_broken(page):
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    for drawing in drawings:
        places = re.findall(r' (?:x|y|x1|x2|y1|y2|cx|cy|r|d|width|height)="([^"]*)"', drawing)
        assert places
        assert not any(word in place for place in places for word in ("nan", "inf", "e+", "e-"))


@pytest.mark.parametrize("kind", CHARTED)
def test_results_of_measurements_have_charts(kind):
    assert "svg" in read(html(CHARTED[kind])).tags


@pytest.mark.parametrize(
    "kind", ["bench", "sweep", "verify", "isa", "saturation", "evaluate", "quantize", "tune"]
)
def test_where_it_was_measured_and_how_to_repeat_it(kind):
    found = read(html(RESULTS[kind]))
    assert ENVIRONMENT.command in found.texts["code"]
    assert ENVIRONMENT.cpu in found.texts["dd"]


def test_small_enough_to_send(page):
    assert len(page) < 100_000
