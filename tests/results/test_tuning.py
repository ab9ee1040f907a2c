"""Which trial is the best, and which are on the front, on numbers worked out by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resnet_deploy.errors import ArtifactError, SpecError
from resnet_deploy.results import (
    Ratio,
    Trial,
    TuningReport,
    from_dict,
    read_tuning,
    to_dict,
)
from resnet_deploy.spec import Effort, FileOptions, InputFormat, Objective, RunOptions, TuneSpec
from tests.support.environment import HERE
from tests.support.sensitivity import fidelity

REFERENCE = FileOptions(input=InputFormat.FLOAT_NCHW)


def trial(
    speed: float | None,
    *,
    agreeing: int = 90,
    wrong: int | None = None,
    size: int = 1000,
    spread: float = 0.001,
    recipe: FileOptions = REFERENCE,
    threads: int = 2,
) -> Trial:
    """A trial ``speed`` times as fast as the reference; None is the reference itself."""
    ratio = None
    if speed is not None:
        rounds = tuple(speed * (1 + spread * step) for step in (-1, -0.5, 0, 0, 0, 0, 0.5, 1))
        ratio = Ratio(
            subject="0",
            reference="reference",
            rounds=rounds,
            minima=speed,
            processes=(2, 2, 2, 2),
        )
    return Trial(
        recipe=recipe,
        setting=RunOptions(runner="ort", threads=threads),
        file=f"{recipe.name}.onnx",
        sha256="0" * 64,
        file_bytes=size,
        fidelity=fidelity(agreeing=agreeing, wrong=wrong),
        rounds_ms=(2.0, 2.1),
        ratio=ratio,
    )


def report(*trials: Trial, spec: TuneSpec | None = None) -> TuningReport:
    return TuningReport(
        model="net.onnx",
        sha256="1" * 64,
        data="images",
        spec=spec or TuneSpec(min_agreement=0.5),
        environment=HERE,
        trials=trials,
    )


def test_the_fastest_within_the_budget_is_the_best() -> None:
    first, fast, wrong = trial(None), trial(1.5, agreeing=80), trial(2.0, agreeing=40)
    found = report(first, fast, wrong)
    assert found.best is fast
    assert found.passed
    assert not found.holds(wrong)
    assert found.latency_ms(fast) == pytest.approx(2.0 / 1.5)


def test_of_equally_fast_ones_the_closest_to_fp32_is_taken() -> None:
    first = trial(None)
    fast, close = trial(1.501, agreeing=80, spread=0.01), trial(1.5, agreeing=95, spread=0.01)
    assert report(first, fast, close).best is close


def test_a_slow_one_is_not_taken_for_being_measured_badly() -> None:
    fast, vague = trial(1.5, agreeing=80), trial(0.9, agreeing=99, spread=0.9)
    found = report(trial(None), fast, vague)
    assert vague.speed_interval[1] > fast.speed_interval[0]
    assert found.best is fast


def test_without_labels_no_drop_is_known_and_none_allowed() -> None:
    spec = TuneSpec(max_drop=1.0)
    assert report(trial(None), spec=spec).best is None
    assert report(trial(None, wrong=1), spec=spec).best is not None
    assert report(trial(None, wrong=2), spec=spec).best is None


def test_the_smallest_then_the_fastest() -> None:
    spec = TuneSpec(min_agreement=0.5, objective=Objective.SIZE)
    small, faster, large = trial(1.0, size=1000), trial(1.2, size=1005), trial(3.0, size=4000)
    assert report(trial(None, size=4000), small, faster, large, spec=spec).best is faster


def test_the_front_is_what_nothing_beats_in_everything() -> None:
    first = trial(None, agreeing=90)
    fast, close = trial(2.0, agreeing=80), trial(0.5, agreeing=99)
    beaten, small = trial(0.4, agreeing=98), trial(0.1, agreeing=10, size=1)
    assert report(first, fast, close, beaten, small).front == (first, fast, close, small)


def test_a_report_is_read_back_from_json() -> None:
    recipe = FileOptions(input=InputFormat.UINT8_NHWC, effort=Effort.BEST, float_layers=("conv1",))
    found = report(trial(None, wrong=1), trial(1.3, recipe=recipe, wrong=2))
    data = json.loads(json.dumps(to_dict(found)))
    assert from_dict(TuningReport, data) == found
    assert data["trials"][1]["speed"] == pytest.approx(1.3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ratio.rounds": [1e-320] * 8}, "says what nobody measured"),
        ({"rounds_ms": [1e-320]}, "says what nobody measured"),
        ({"file_bytes": 0}, "says what nobody measured"),
        ({"fidelity.noise_power": 1e308, "fidelity.signal_power": 1e-320}, "nobody measured"),
        ({"setting.threads": 0}, "threads is 0"),
        ({"setting.instances": -1}, "instances is -1"),
        ({"setting.batch_size": 10**9}, "batch_size is 1000000000"),
        ({"setting.runner": "mine"}, "the runner is 'mine'"),
        # ONNX Runtime and OpenVINO would write there, when the search goes on.
        ({"setting.options": [["optimized_model_filepath", "x"]]}, "'optimized_model_filepath'"),
        ({"setting.options": [["profile_file_prefix", "x"]]}, "option 'profile_file_prefix'"),
        ({"setting.runner": "openvino", "setting.options": [["CACHE_DIR", "x"]]}, "'CACHE_DIR'"),
    ],
)
def test_evidence_of_what_no_search_tries(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    found = report(trial(None, wrong=1), trial(1.3, wrong=2))
    data = to_dict(found)
    (tmp_path / "tune.json").write_text(json.dumps(data))
    assert read_tuning(tmp_path / "tune.json") == found
    for place, value in change.items():
        above, _, name = place.rpartition(".")
        (data["trials"][1][above] if above else data["trials"][1])[name] = value
    (tmp_path / "tune.json").write_text(json.dumps(data))
    with pytest.raises(ArtifactError, match=said):
        read_tuning(tmp_path / "tune.json")


def test_evidence_of_more_trials_than_can_be_compared(tmp_path: Path) -> None:
    data = to_dict(report(trial(None)))
    data["trials"] *= 1001
    (tmp_path / "tune.json").write_text(json.dumps(data))
    with pytest.raises(ArtifactError, match="1001 trials"):
        read_tuning(tmp_path / "tune.json")


def test_an_interval_beyond_all_floats_is_told_as_such() -> None:
    rounds = (5e-324, 1e300, 1e300, 1e300)
    wild = Ratio(subject="0", reference="r", rounds=rounds, minima=1.0, processes=(1,) * 4)
    assert wild.interval == (0.0, math.inf)


def test_names_tell_recipes_and_settings_apart() -> None:
    assert REFERENCE.name == "int8-mse-fast-portable-float-nchw"
    assert replace(REFERENCE, int8=False).name == "fp32-float-nchw"
    assert replace(REFERENCE, float_layers=("a", "b")).name.endswith("-2float")
    options = (("NUM_STREAMS", "2"),)
    setting = RunOptions(runner="openvino", threads=1, instances=2, batch_size=4, options=options)
    assert setting.name == "openvino, 1 thread, 2 instances, batch 4, NUM_STREAMS=2"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "--max-drop or --min-agreement"),
        ({"max_drop": -1.0}, "0 to 100"),
        ({"min_agreement": 2.0}, "0 to 1"),
        ({"max_drop": 1.0, "time_limit": 0.0}, "must be positive"),
    ],
)
def test_a_request_without_sense_is_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        TuneSpec(**arguments)  # type: ignore[arg-type]
