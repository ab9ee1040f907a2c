"""What a notebook shows of a value: no script, no style of its own document, no name as markup."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import resnet_deploy as rd
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.report import html
from resnet_deploy.visible import visible_line
from tests.support.html_reading import read
from tests.support.markdown import ROOT
from tests.support.reports.quality import evaluation
from tests.support.reports.samples import RESULTS

HOSTILE = "</iframe><script>alert('1')</script>\"\n<style>* {} \x1b[2J"
INT8 = ROOT / "artifacts" / "resnet20-cifar10.int8.onnx"


@pytest.mark.parametrize("name", RESULTS)
def test_every_result_is_its_page_in_a_frame_that_runs_nothing(name: str) -> None:
    shown = read(RESULTS[name]._repr_html_())
    assert shown.tags == ["iframe"]
    attributes = dict(shown.attributes)
    assert attributes["sandbox"] == ""
    assert attributes["srcdoc"] == html(RESULTS[name])


def test_names_stay_within_the_frame() -> None:
    shown = read(evaluation(classes=(HOSTILE, "b", "c"), each=3)._repr_html_())
    assert shown.tags == ["iframe"]
    assert "script" not in read(dict(shown.attributes)["srcdoc"].partition("\n")[2]).tags


def test_a_file_is_a_table_of_what_it_is() -> None:
    shown = read(load(INT8)._repr_html_())
    assert shown.texts["caption"] == [INT8.name]
    facts = dict(zip(shown.texts["th"], shown.texts["td"], strict=True))
    assert facts["precision"] == "int8"
    assert facts["classes"] == "airplane, automobile, bird, cat, deer, … (10)"
    assert facts["pictures"].startswith("RGB 0 to 1")


def test_names_of_a_file_are_text() -> None:
    artifact = load(INT8)
    assert artifact.card is not None
    hostile = replace(
        artifact, path=Path(HOSTILE), card=replace(artifact.card, labels=(HOSTILE, *"123456789"))
    )
    shown = read(hostile._repr_html_())
    assert {"script", "style", "iframe"}.isdisjoint(shown.tags)
    assert shown.texts["caption"] == [visible_line(Path(HOSTILE).name)]
    assert "\x1b" not in hostile._repr_html_()


def test_a_network_says_what_is_assumed_of_it() -> None:
    net = rd.load(depth=8, num_classes=4)
    assert isinstance(net, rd.Network)
    shown = read(net._repr_html_())
    assert shown.texts["caption"] == ["resnet8"]
    facts = dict(zip(shown.texts["th"], shown.texts["td"], strict=True))
    assert facts["weights"] == "random"
    assert "assumed" not in facts  # of random weights nothing is
    hostile = replace(net, labels=(HOSTILE, "b", "c", "d"), assumed={"padding": HOSTILE})
    assert "alert" in read(hostile._repr_html_()).texts["td"][-1]
    assert {"script", "style", "iframe"}.isdisjoint(read(hostile._repr_html_()).tags)
