"""The words of a ranking and of a budget."""

from __future__ import annotations

from dataclasses import replace

from resnet_deploy.report.views.sensitivity import budget_line, just_missed
from resnet_deploy.results import (
    BudgetReport,
    Fidelity,
    LayerSensitivity,
    MixedTrial,
    PairedTop1,
    SensitivityReport,
)
from tests.support.sensitivity import fidelity, layer, times
from tests.support.terminal import printed, rows


def report(*layers: LayerSensitivity) -> SensitivityReport:
    return SensitivityReport(model="net.onnx", layers=layers, batch_size=1, threads=1, seconds=2.0)


def test_a_ranking() -> None:
    shown = printed(report(layer("conv1", 0.1), layer("fc", 1.2, slowdown=1.0)))
    assert "100 images of test" in shown
    found = rows(shown)
    assert found["conv1"][1:] == ["+10.00", "dB", "+5.00", "+2.00", "+90.0%", "+0.200", "+450%"]
    assert found["fc"][-3:] == ["about", "0", "-2,000%"]
    assert "1 thread without spinning:" in shown


def test_twenty_layers_are_shown() -> None:
    shown = printed(report(*(layer(f"layer{n}", 0.5) for n in range(25))))
    assert "layer19" in shown
    assert "layer20" not in shown
    assert "and 5 more: see --json" in shown


def test_a_net_of_one_layer() -> None:
    assert "nothing to rank" in printed(report())


def test_a_missed_budget_says_what_was_reached() -> None:
    trials = (
        MixedTrial(float_layers=(), fidelity=fidelity(wrong=9)),
        MixedTrial(float_layers=tuple("abcdefg"), fidelity=fidelity(wrong=4), times=times(1.5)),
    )
    missed = BudgetReport(max_drop=1.0, min_agreement=0.9999, trials=trials)
    line = budget_line(missed)
    assert "\n" not in line
    assert "at most 1 points of top-1 lost and same top-1 on 99.99%" in line
    assert "FAIL  the best file reaches top-1 \N{MINUS SIGN}4.00 points" in line
    assert "7 layers in float: a, b, c and 4 more (+1 ms, 1.50x)" in line


def test_a_budget_that_int8_holds() -> None:
    held = BudgetReport(
        max_drop=None,
        min_agreement=0.5,
        trials=(MixedTrial(float_layers=(), fidelity=fidelity()),),
    )
    line = budget_line(held)
    assert "PASS  SQNR 30.0 dB, same top-1 90.00% on 100 images of test; all int8" in line


def test_without_labels_there_is_no_top1() -> None:
    unlabelled = replace(layer("conv1", 0.1), int8=fidelity(), mixed=fidelity(0.1, agreeing=95))
    assert unlabelled.top1_gain is None
    assert "top-1 " not in printed(report(unlabelled)).splitlines()[2]
    assert rows(printed(report(unlabelled)))["conv1"][1:4] == ["+10.00", "dB", "+5.00"]


def test_a_budget_that_is_just_missed_shows_by_how_much() -> None:
    found = Fidelity(
        data="test",
        samples=100_000,
        agreeing=98_999,
        signal_power=1.0,
        noise_power=0.1,
        paired=PairedTop1(samples=100_000, newly_right=0, newly_wrong=1_004),
    )
    assert just_missed(found, 1.0, 0.989_994) == (
        " (1.004 points lost > 1.000; same top-1 98.9990% < 98.9994%)"
    )
    assert just_missed(found, 2.0, 0.9) == ""
