from __future__ import annotations

import math
from dataclasses import replace

import pytest

from resnet_deploy.report import view
from resnet_deploy.report.views.evaluation import difference
from resnet_deploy.report.words import decibels, percent, points, signed
from resnet_deploy.results import (
    Agreement,
    EvalResult,
    PairedTop1,
    Prediction,
    Predictions,
    ScoredClass,
)
from tests.support.terminal import printed


def _result(against: Agreement | None, **changed: object) -> EvalResult:
    values: dict[str, object] = {
        "model": "net[red].int8.onnx",
        "sha256": "0" * 64,
        "ranks": (0, 0, 0, 4, 9),
        "predicted": (0, 1, 0, 1, 0),
        "confidences": (0.9, 0.9, 0.8, 0.4, 0.5),
        "data": "test",
        "seconds": 1.25,
        "classes": ("a[b]", "c"),
        "truth": (0, 1, 0, 0, 1),
        "against": against,
    }
    return EvalResult(**{**values, **changed})  # type: ignore[arg-type]


OTHER = Agreement(
    model="net.onnx",
    sha256="1" * 64,
    ranks=(0, 0, 0, 0, 9),
    predicted=(0, 1, 0, 0, 0),
    confidences=(0.9, 0.9, 0.9, 0.9, 0.5),
    top1_equal=(True, True, True, False, True),
    signal_power=100.0,
    noise_power=0.1,
)


def test_one_model():
    text = printed(_result(None))
    assert "test: 5 images, 1.2 s" in text
    assert "net[red].int8.onnx" in text
    assert "60.00%" in text
    assert "23.07% to 88.24%" in text
    assert "80.00%" in text
    assert "a[b]" in text
    for word in ("SQNR", "McNemar", "reference", "left out"):
        assert word not in text


def test_two_models():
    text = printed(_result(OTHER))
    rows = text.splitlines()
    assert any("int8" in row and "60.00%" in row and "30.0 dB" in row for row in rows)
    assert any("net.onnx" in row and "80.00%" in row and "reference" in row for row in rows)
    assert (
        "top-1 -20.00 points (95 % CI -61.61 to +33.04; McNemar p = 1): 5 are too few for any "
        "difference to be significant"
    ) in " ".join(text.split())
    verdict = view(_result(OTHER)).verdict
    assert verdict is not None
    assert verdict.word == "Too few pictures to tell"
    assert "changed answers: 1 (0 newly right, 1 newly wrong, 0 wrong in another way)" in text
    assert any(row.split() == ["a[b]", "3", "66.67%", "100.00%", "-33.33"] for row in rows)
    assert any(row.split() == ["c", "2", "50.00%", "50.00%", "0.00"] for row in rows)
    assert any(row.split() == ["a[b]", "a[b]", "c", "1"] for row in rows)


def test_of_many_classes_those_that_lost_most():
    names = tuple(f"class{index}" for index in range(30))
    truth = tuple(range(30)) * 2
    # Of its two images the reference gets both right, the model one of each odd class.
    wrong = tuple(5 if index >= 30 and index % 2 else 0 for index in range(60))
    result = _result(
        replace(OTHER, ranks=(0,) * 60, predicted=truth, confidences=(), top1_equal=(True,) * 60),
        ranks=wrong,
        predicted=truth,
        confidences=(),
        classes=names,
        truth=truth,
    )
    text = printed(result)
    assert "The 15 of 30 classes that lost most" in text
    assert text.count("-50.00") == 15
    assert "class2 " not in text
    alone = printed(replace(result, against=None))
    assert "The 20 of 30 classes that are hardest" in alone
    assert "class1 " in alone


def test_a_result_of_an_earlier_version_has_its_table():
    old = replace(OTHER, predicted=(), confidences=())
    new = _result(old, predicted=(), confidences=(), classes=(), truth=())
    text = printed(new)
    assert "30.0 dB" in text
    assert "McNemar" in text
    assert "confusion" not in text


def test_images_left_out_are_counted_and_the_first_named():
    names = tuple(f"a/{index}[x].png" for index in range(1200))
    text = printed(_result(None, skipped=names))
    assert "1,200 images left out, as they can't be read: a/0[x].png, a/1[x].png" in text
    assert "a/9[x].png and 1,190 more" in text


def test_the_difference_in_words():
    def words(right: int, wrong: int) -> str:
        paired = PairedTop1(samples=5000, newly_right=right, newly_wrong=wrong)
        return difference(paired).replace("\N{MINUS SIGN}", "-")

    assert words(9, 18) == (
        "top-1 -0.18 points (95 % CI -0.39 to +0.03; McNemar p = 0.12): not significant"
    )
    assert words(0, 0).startswith("top-1 0.00 points (95 % CI -0.06 to +0.06; McNemar p = 1)")
    assert words(10, 100).endswith("McNemar p < 0.001): significant")


def test_points_are_signed_unless_they_round_to_nothing():
    assert [points(x) for x in (0.0123, 0.00001, -0.00001)] == ["+1.23", "0.00", "0.00"]
    assert points(-0.5) == "\N{MINUS SIGN}50.00"


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100.00%"), (0.999999, "99.99%"), (0.81234, "81.23%"), (0.0, "0.00%")]
)
def test_percent_never_rounds_up_to_all(share, text):
    assert percent(share) == text


def test_decibels():
    assert decibels(math.inf) == "identical"
    assert decibels(41.26) == "41.3 dB"
    assert decibels(-math.inf) == "nothing left"
    assert decibels(math.nan) == "NaN"


def test_what_is_gained_in_decibels_is_never_more_than_it_is():
    assert signed("{:+.2f} dB")(math.inf) == "\N{INFINITY}"
    assert signed("{:+.2f} dB")(-math.inf) == "nothing left"
    assert signed("{:+.2f} dB")(math.nan) == "NaN"


def test_predictions():
    classes = (
        ScoredClass(index=1, label="[b]cat", probability=0.75, logit=2.0),
        ScoredClass(index=0, label="dog", probability=0.25, logit=1.0),
    )
    image = Prediction(image="a:cat:[x].jpg", classes=classes)
    text = printed(Predictions(model="m.onnx", sha256="0" * 64, predictions=(image,)))
    assert text.count("a:cat:[x].jpg") == 1
    assert "[b]cat" in text
    assert "75.00%" in text
