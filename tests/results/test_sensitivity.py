"""The statistics of float layers on numbers that can be worked out by hand, and their JSON form."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.results import (
    BudgetReport,
    Fidelity,
    LayerSensitivity,
    MixedTrial,
    PairedTimes,
    PairedTop1,
    SensitivityReport,
    from_dict,
    to_dict,
)
from tests.support.sensitivity import fidelity, layer, times


def trial(*layers: str, **found: int) -> MixedTrial:
    return MixedTrial(float_layers=layers, fidelity=fidelity(**found))


def test_statistics_of_a_layer() -> None:
    found = layer("conv1", noise=0.1)
    assert found.sqnr_gain_db == pytest.approx(10.0)
    assert found.agreement_gain == pytest.approx(5.0)
    assert found.top1_gain == pytest.approx(2.0)
    assert found.noise_removed == pytest.approx(0.9)
    assert found.times.lost_ms == pytest.approx(0.2)
    assert found.times.interval == pytest.approx((1.1, 1.1))
    assert found.gain_per_ms == pytest.approx(0.9 / 0.2)


def test_a_layer_that_costs_nothing_is_not_infinitely_good() -> None:
    free, faster = layer("a", 0.5, slowdown=1.0), layer("b", 0.5, slowdown=0.9)
    assert free.gain_per_ms == faster.gain_per_ms == pytest.approx(0.5 / (0.005 * 2))


def test_no_noise_to_remove() -> None:
    exact = fidelity(0.0)
    found = LayerSensitivity(name="a", modules=("a",), int8=exact, mixed=exact, times=times())
    assert exact.sqnr_db == math.inf
    assert (found.sqnr_gain_db, found.noise_removed, found.top1_gain) == (0.0, 0.0, None)


def test_one_bad_round_moves_no_median() -> None:
    good = times()
    bad = PairedTimes(int8_ns=good.int8_ns, mixed_ns=(90_000_000, *good.mixed_ns[1:]))
    assert bad.slowdown == good.slowdown


def test_the_best_trial_misses_least_with_fewest_layers() -> None:
    report = BudgetReport(
        max_drop=1.0,
        min_agreement=None,
        trials=(trial(wrong=5), trial("a", wrong=3), trial("a", "b", wrong=3)),
    )
    assert not report.held
    assert report.float_layers == ("a",)
    assert report.missed(report.best) == pytest.approx(2.0)
    held = BudgetReport(
        max_drop=1.0,
        min_agreement=None,
        trials=(*report.trials, trial("a", "b", "c", wrong=1), trial("a", "c", wrong=1)),
    )
    assert held.held
    assert held.float_layers == ("a", "c")


def test_both_bounds_count() -> None:
    report = BudgetReport(max_drop=1.0, min_agreement=0.95, trials=(trial(wrong=1, agreeing=90),))
    assert report.missed(report.best) == pytest.approx(5.0)


@given(st.integers(1, 10**6), st.data())
def test_a_budget_of_exactly_what_was_reached_holds(samples: int, data: st.DataObject) -> None:
    """Whatever the rounding of the shares."""
    wrong = data.draw(st.integers(0, samples))
    found = Fidelity(
        data="test",
        samples=samples,
        agreeing=samples - wrong,
        signal_power=1.0,
        noise_power=1.0,
        paired=PairedTop1(samples=samples, newly_right=0, newly_wrong=wrong),
    )
    report = BudgetReport(
        max_drop=100 * (wrong / samples),
        min_agreement=1 - wrong / samples,
        trials=(MixedTrial(float_layers=(), fidelity=found),),
    )
    assert report.held


def test_json_and_back() -> None:
    report = SensitivityReport(
        model="net.onnx",
        layers=(layer("conv1", 0.1), layer("fc", 1.2)),
        batch_size=1,
        threads=2,
        seconds=3.0,
    )
    data = json.loads(json.dumps(to_dict(report)))
    assert data["layers"][0]["sqnr_gain_db"] == pytest.approx(10.0)
    assert data["layers"][0]["times"]["lost_ms"] == pytest.approx(0.2)
    assert data["layers"][0]["mixed"]["drop"] == 1.0
    assert "2 threads" in data["method"]
    assert from_dict(SensitivityReport, data) == report
    budget = BudgetReport(max_drop=None, min_agreement=0.9, trials=(trial(), trial("a")))
    data = json.loads(json.dumps(to_dict(budget)))
    assert data["held"] is True
    assert data["float_layers"] == []
    assert from_dict(BudgetReport, data) == budget
