"""The search for float layers: which are taken, which go back, and what is kept on the way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from resnet_deploy import api
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.deployment.float_layers import keep_budget
from resnet_deploy.errors import DatasetError, SpecError
from resnet_deploy.fp32_baseline import Fp32Baseline
from resnet_deploy.quantization.static import QuantizedNet
from resnet_deploy.results import (
    BudgetReport,
    Deployment,
    MixedTrial,
    SensitivityReport,
)
from resnet_deploy.sensitivity import MixedPrecision
from resnet_deploy.spec import Budget, Effort
from tests.support.ruined_net import RUINED, ruined_net
from tests.support.sensitivity import fidelity, layer, same_turns, times


class FakeBench:
    """Measures what a table says: images of 100 that agree, by the layers in float."""

    def __init__(self, agreeing: Mapping[str, int], stream_ms: float | None = None) -> None:
        """``stream_ms``: what a float residual stream costs, where there is one; its key is "s"."""
        self.stream_ms = stream_ms
        self.layers = {name: (name,) for name in "abcd"}
        self.agreeing = agreeing
        self.tried: list[str] = []

    def measure(
        self, layers: tuple[str, ...], baseline: Any, *, stream: object = None
    ) -> MixedTrial:
        key = "".join(layers) + "s" * (stream is not None)
        self.tried.append(key)
        return MixedTrial(
            float_layers=layers,
            fidelity=fidelity(0.5 if stream else 1.0, agreeing=self.agreeing.get(key, 50)),
            times=times(1 + (self.stream_ms or 0)) if stream else None,
            float_stream=stream is not None,
        )


def search(bench: FakeBench, wanted: float) -> tuple[BudgetReport, list[tuple[str, ...]]]:
    kept: list[tuple[str, ...]] = []

    def rank() -> SensitivityReport:
        layers = tuple(layer(name, 0.5) for name in "abcd")
        return SensitivityReport(model="net", layers=layers, batch_size=1, threads=1, seconds=0.0)

    report = keep_budget(
        Budget(min_agreement=wanted),
        cast(MixedPrecision, bench),
        cast(Fp32Baseline, None),
        rank,
        lambda found: kept.append(found.float_layers),
        float_stream=lambda: None if bench.stream_ms is None else cast(QuantizedNet, "stream"),
    )
    return report, kept


def test_the_residual_stream_is_tried_before_any_layer() -> None:
    bench = FakeBench({"": 50, "s": 99}, stream_ms=0.1)
    report, _ = search(bench, 0.99)
    assert report.held
    assert report.float_stream
    assert bench.tried == ["", "s"]


def test_layers_are_added_to_a_stream_that_gives_more_for_its_time() -> None:
    bench = FakeBench({"": 50, "s": 80, "as": 99}, stream_ms=0.0)
    report, _ = search(bench, 0.99)
    assert (report.float_layers, report.float_stream) == (("a",), True)
    assert bench.tried == ["", "s", "as"]


def test_a_stream_that_costs_more_than_a_layer_for_what_it_gives_goes_back() -> None:
    bench = FakeBench({"": 50, "s": 80, "a": 99}, stream_ms=5.0)
    report, _ = search(bench, 0.99)
    assert (report.float_layers, report.float_stream) == (("a",), False)
    assert bench.tried == ["", "s", "a"]


def test_int8_that_holds_is_not_ranked() -> None:
    bench = FakeBench({"": 99})
    report, kept = search(bench, 0.99)
    assert report.held
    assert bench.tried == [""]
    assert kept == [()]


def test_layers_are_added_until_it_holds_and_the_needless_go_back() -> None:
    """Only a and c together help: alone, each reads or writes the same bad range."""
    bench = FakeBench({"": 50, "a": 50, "ab": 50, "abc": 99, "ac": 99})
    report, kept = search(bench, 0.99)
    assert report.float_layers == ("a", "c")
    assert bench.tried == ["", "a", "ab", "abc", "ac", "c"]
    assert kept == [(), ("a", "b", "c"), ("a", "c")]


def test_a_missed_budget_keeps_the_best_and_one_int8_layer() -> None:
    bench = FakeBench({"": 50, "a": 80, "ab": 70, "abc": 80})
    report, kept = search(bench, 0.99)
    assert not report.held
    assert report.float_layers == ("a",)
    assert bench.tried == ["", "a", "ab", "abc"]
    assert kept == [(), ("a",)]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"max_drop": -1.0}, "--max-drop -1 must be"),
        ({"max_drop": float("nan")}, "--max-drop nan must be"),
        ({"min_agreement": 99.5}, "--min-agreement 99.5 must be a share"),
        ({}, "needs --max-drop"),
    ],
)
def test_budgets_that_mean_nothing(values: dict[str, float], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        Budget(**values)


@pytest.fixture(autouse=True)
def _same_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resnet_deploy.sensitivity.take_turns", same_turns)


@pytest.fixture(scope="module")
def ruined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ruined")
    ruined_net(folder / "net.onnx", folder / "data")
    return folder


def quantize(ruined: Path, out: Path, **options: Any) -> Deployment:
    values: dict[str, Any] = {"data": ruined / "data", "allow_float_ops": True, **options}
    return api.deploy(
        ruined / "net.onnx",
        out,
        calibration=ruined / "data",
        no_calibration_cache=True,
        threads=1,
        **values,
    )


@pytest.mark.parametrize("effort", list(Effort))
def test_the_ruined_layer_goes_to_float(ruined: Path, effort: Effort, tmp_path: Path) -> None:
    out = tmp_path / "net.int8.onnx"
    made = quantize(ruined, out, max_drop=5.0, effort=effort.value)
    assert made.passed
    assert made.budget is not None
    assert made.budget.float_layers == (RUINED, "add")
    assert [trial.float_stream for trial in made.budget.trials][:2] == [False, True]
    assert made.sensitivity is not None
    assert made.sensitivity.layers[0].name == RUINED
    card = load(out).card
    assert card is not None
    options = next(step.options for step in card.steps if step.name == "quantize")
    assert options["float_layers"] == [RUINED, "add"]
    assert (options["max_drop"], options["budget_samples"]) == (5.0, 64)
    assert options["drop"] <= 5
    assert card.parity["int8_agreement"] > 0.9


def test_a_budget_that_int8_holds(ruined: Path, tmp_path: Path) -> None:
    made = quantize(ruined, tmp_path / "out.onnx", min_agreement=0.3)
    assert made.budget is not None
    assert made.budget.held
    assert len(made.budget.trials) == 1
    assert made.sensitivity is None
    # The parity check that every file gets is another matter: this net is ruined.
    assert not made.passed
    assert (tmp_path / "out.onnx").exists()


def test_an_impossible_budget_writes_the_best(ruined: Path, tmp_path: Path) -> None:
    """What is excluded by name stays so; the one int8 layer left is the ruined one."""
    out = tmp_path / "out.onnx"
    made = quantize(ruined, out, max_drop=0.0, exclude=("conv*", "fc", "layer1.conv1"))
    assert made.budget is not None
    assert not made.budget.held
    assert not made.passed
    assert made.files == {"int8": str(out)}
    assert load(out).quantized


def test_ctrl_c_leaves_the_best_file_whole(ruined: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "verifying":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize(ruined, out, max_drop=5.0, progress=stop)
    card = load(out).card
    assert card is not None
    assert card.steps[-1].options["float_layers"] == [RUINED, "add"]
    assert list(tmp_path.iterdir()) == [out]


def test_ctrl_c_before_the_search_leaves_all_int8(ruined: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "measuring layers":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize(ruined, out, max_drop=5.0, progress=stop)
    card = load(out).card
    assert card is not None
    assert card.steps[-1].options["float_layers"] == []


def test_images_that_can_not_tell(ruined: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    for data in (None, ruined / "data/0"):
        with pytest.raises(DatasetError, match="--max-drop needs to know what is right"):
            quantize(ruined, out, max_drop=1.0, data=data)
    with pytest.raises(SpecError, match="add one of them"):
        quantize(ruined, out)
    with pytest.raises(SpecError, match="synthetic images says nothing"):
        api.deploy(ruined / "net.onnx", out, min_agreement=0.9)
    assert not out.exists()


def test_float_operators_that_nobody_asked_for(ruined: Path, tmp_path: Path) -> None:
    """The float layer of the budget is accepted without --allow-float-ops, as an excluded one."""
    out = tmp_path / "out.onnx"
    made = quantize(ruined, out, max_drop=5.0, allow_float_ops=False)
    assert made.passed, made.inspection
    assert out.exists()
