"""Statistics on numbers that can be worked out by hand, and the JSON form of every result."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from resnet_deploy.results import (
    Agreement,
    EvalResult,
    OutputDiff,
    ParityCase,
    ParityReport,
    from_dict,
    to_dict,
)
from resnet_deploy.spec import InputContract, Tolerance

GOLDEN = Path(__file__).parent / "golden"


def diff(**changed: float) -> OutputDiff:
    values = {
        "max_abs": 0.5,
        "max_reference": 10.0,
        "signal_power": 100.0,
        "noise_power": 0.1,
        "dot": 99.0,
        "candidate_power": 100.0,
    }
    return OutputDiff(name="logits", samples=2, **{**values, **changed})


def case(tolerance: Tolerance, logits: OutputDiff | None = None) -> ParityCase:
    return ParityCase(
        reference="a",
        candidate="b",
        batch_size=1,
        optimization="all",
        outputs=(logits or diff(),),
        top1_equal=(True, False),
        tolerance=tolerance,
    )


def test_statistics_of_a_difference() -> None:
    assert diff().relative == 0.05
    assert diff().sqnr_db == pytest.approx(30.0)
    assert diff().cosine == pytest.approx(0.99)


def test_equal_outputs_have_no_noise() -> None:
    assert diff(noise_power=0.0).sqnr_db == math.inf
    assert diff(max_abs=0.0, max_reference=0.0).relative == 0.0


@pytest.mark.parametrize(
    ("tolerance", "failure"),
    [
        (Tolerance(max_relative=0.05), None),
        (Tolerance(max_relative=0.0499), "relative difference 0.05 > 0.0499"),
        (Tolerance(min_sqnr_db=29.9), None),
        (Tolerance(min_sqnr_db=30.1), "SQNR 30.0 dB < 30.1 dB"),
        (Tolerance(min_cosine=0.991), "cosine 0.99000 < 0.99100"),
        (Tolerance(min_agreement=0.5), None),
        (Tolerance(min_agreement=0.6), "top-1 agreement 50.00% < 60.00%"),
        (Tolerance(max_relative=0.04999), "relative difference 0.05 > 0.04999"),
        (Tolerance(min_sqnr_db=30.01), "SQNR 30.00 dB < 30.01 dB"),
        (Tolerance(min_cosine=0.990001), "cosine 0.990000 < 0.990001"),
        (Tolerance(min_agreement=0.500001), "top-1 agreement 50.0000% < 50.0001%"),
        (Tolerance(), None),
    ],
)
def test_a_case_fails_just_beyond_its_tolerance(tolerance: Tolerance, failure: str | None) -> None:
    assert case(tolerance).failures == (() if failure is None else (failure,))


def test_nan_fails_whatever_the_tolerance() -> None:
    assert case(Tolerance(), diff(max_abs=math.nan)).failures == ("NaN or infinity",)


def test_a_comparison_of_nothing_is_none() -> None:
    with pytest.raises(ValueError, match="logits: a comparison of nothing"):
        replace(diff(), samples=0)
    assert replace(case(Tolerance()), outputs=()).failures == ("nothing was compared",)


def test_a_report_without_cases_has_not_passed() -> None:
    assert not ParityReport(model="m", data="d", cases=()).passed


def test_failures_of_several_outputs_are_named() -> None:
    several = replace(
        case(Tolerance(min_sqnr_db=25.0, min_agreement=0.9)),
        outputs=(replace(diff(), name="c2"), replace(diff(noise_power=1.0), name="c3")),
        top1_equal=(),
    )
    assert several.failures == ("c3: SQNR 20.0 dB < 25.0 dB",)
    assert (several.worst.name, several.agreement, several.samples) == ("c3", None, 2)
    broken = replace(several, outputs=(*several.outputs, diff(noise_power=math.nan)))
    assert broken.worst.name == "logits"


def test_the_first_layer_that_drifts_is_named() -> None:
    layers = tuple(
        OutputDiff(
            name=name,
            samples=1,
            max_abs=1.0,
            max_reference=1.0,
            signal_power=1.0,
            noise_power=noise,
            dot=1.0,
            candidate_power=1.0,
        )
        for name, noise in (("conv1", 0.001), ("layer1.0", 0.5), ("layer2.0", 0.6))
    )
    report = ParityReport(
        model="m", data="d", cases=(case(Tolerance(min_sqnr_db=20)),), layers=layers
    )
    assert report.first_drift == "layer1.0"


EVALUATION = EvalResult(
    model="m.int8.onnx",
    sha256="0" * 64,
    ranks=(0, 4, 5, 0),
    predicted=(0, 2, 0, 1),
    confidences=(0.75, 0.5, 0.5, 0.25),
    data="test",
    seconds=0.5,
    classes=("cat", "dog", "frog"),
    truth=(0, 1, 1, 1),
    skipped=("dog/4.jpg",),
    preprocess=InputContract.for_size(32).as_assumed(["mean"]),
    against=Agreement(
        model="m.onnx",
        sha256="1" * 64,
        ranks=(0, 0, 0, 0),
        predicted=(0, 1, 1, 1),
        confidences=(0.75, 0.75, 0.75, 0.75),
        top1_equal=(True, False, False, True),
        signal_power=1000.0,
        noise_power=1.0,
    ),
)


def test_json_of_an_evaluation_is_the_recorded_one() -> None:
    recorded = json.loads((GOLDEN / "evaluation.json").read_text(encoding="utf-8"))
    assert to_dict(EVALUATION) == recorded
    assert from_dict(EvalResult, recorded) == EVALUATION


def test_json_of_an_earlier_version_still_loads() -> None:
    recorded = json.loads((GOLDEN / "evaluation.json").read_text(encoding="utf-8"))
    newer = ("predicted", "confidences", "listed", "classes", "truth", "skipped")
    for part in (recorded, recorded["against"]):
        for name in newer:
            part.pop(name, None)
    old = from_dict(EvalResult, recorded)
    data = to_dict(old)
    assert (old.top1, old.per_class, old.confusion_changes) == (0.5, (), ())
    assert data["paired"] == recorded["paired"]
    assert data["calibration_drift"] is None


def test_json_of_a_parity_report_comes_back_equal() -> None:
    report = ParityReport(model="m", data="d", cases=(case(Tolerance(min_cosine=0.9)),))
    data = json.loads(json.dumps(to_dict(report)))
    assert data["passed"] is True
    assert from_dict(ParityReport, data) == report


def test_infinity_is_written_as_null() -> None:
    assert to_dict(diff(noise_power=0.0))["sqnr_db"] is None
