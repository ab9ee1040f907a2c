from __future__ import annotations

import math

import pytest
from rich.console import Console, RenderableType

from resnet_deploy.report.evaluation import decibels, evaluation_report, percent
from resnet_deploy.report.prediction import prediction_table
from resnet_deploy.results import Agreement, EvalResult, Prediction, ScoredClass


def _text(table: RenderableType) -> str:
    console = Console(width=100, force_terminal=False)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def _result(against: Agreement | None) -> EvalResult:
    return EvalResult(
        model="net[red].int8.onnx",
        sha256="0" * 64,
        data="test",
        ranks=(0, 0, 0, 4, 9),
        seconds=1.25,
        against=against,
    )


def test_one_model():
    text = _text(evaluation_report(_result(None)))
    assert "test: 5 images, 1.2 s" in text
    assert "net[red].int8.onnx" in text
    assert "60.00%" in text
    assert "80.00%" in text
    assert "SQNR" not in text


def test_two_models():
    other = Agreement(
        model="net.onnx",
        sha256="1" * 64,
        ranks=(0, 0, 0, 0, 9),
        top1_equal=(True, True, True, True, False),
        signal_power=100.0,
        noise_power=0.1,
    )
    rows = _text(evaluation_report(_result(other))).splitlines()
    assert any("int8" in row and "60.00%" in row and "30.0 dB" in row for row in rows)
    assert any("net.onnx" in row and "80.00%" in row and "reference" in row for row in rows)


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100.00%"), (0.999999, "99.99%"), (0.81234, "81.23%"), (0.0, "0.00%")]
)
def test_percent_never_rounds_up_to_all(share, text):
    assert percent(share) == text


def test_decibels():
    assert decibels(math.inf) == "identical"
    assert decibels(41.26) == "41.3 dB"


def test_predictions():
    classes = (
        ScoredClass(index=1, label="[b]cat", probability=0.75, logit=2.0),
        ScoredClass(index=0, label="dog", probability=0.25, logit=1.0),
    )
    text = _text(prediction_table([Prediction(image="a:cat:[x].jpg", classes=classes)]))
    assert text.count("a:cat:[x].jpg") == 1
    assert "[b]cat" in text
    assert "75.00%" in text
