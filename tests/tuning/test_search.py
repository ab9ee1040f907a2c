"""The search on a tiny net whose right answers are known; times are made up, accuracy is not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.errors import DatasetError, RunnerError, SpecError
from resnet_deploy.report import view
from resnet_deploy.results import Trial, TuningReport
from resnet_deploy.runners.ort_config import ORT_CONFIG_KEY
from resnet_deploy.spec import InputFormat, Overflow, TuneSpec
from resnet_deploy.tuning import tune
from resnet_deploy.tuning.deadline import Costs
from resnet_deploy.tuning.track import Entrant
from tests.support.environment import HERE
from tests.support.ruined_net import ruined_net
from tests.support.track import Track

SPEC = TuneSpec(max_drop=100.0, time_limit=600.0, calibration_samples=32, threads=1)


def made_up_times(patch: pytest.MonkeyPatch) -> Track:
    found = Track()
    patch.setattr("resnet_deploy.tuning.search.race", found.race)
    patch.setattr("resnet_deploy.tuning.search.runner_status", list)
    return found


@pytest.fixture
def track(monkeypatch: pytest.MonkeyPatch) -> Track:
    return made_up_times(monkeypatch)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ruined")
    ruined_net(folder / "net.onnx", folder / "data")
    return folder


def search(net: Path, out: Path, spec: TuneSpec = SPEC) -> TuningReport:
    return tune(load(net / "net.onnx"), out, spec, data=net / "data", environment=HERE)


@dataclass(frozen=True)
class Searched:
    """A search from start to end; tests must not change its folder."""

    report: TuningReport
    folder: Path
    raced: tuple[str, ...]


@pytest.fixture(scope="module")
def searched(net: Path, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    folder = tmp_path_factory.mktemp("searched")
    with pytest.MonkeyPatch.context() as patch:
        track = made_up_times(patch)
        report = search(net, folder)
    return Searched(report, folder, tuple(track.raced))


def test_the_best_file_is_there_with_what_it_is_run_with(searched: Searched) -> None:
    report = searched.report
    best = report.best
    assert best is not None
    assert best.recipe.input is not InputFormat.FLOAT_NCHW
    assert report.complete
    assert len(set(searched.raced[:-3])) == len(searched.raced[:-3])
    file = searched.folder / "net.tuned.onnx"
    artifact = load(file)
    assert artifact.card is not None
    step = artifact.card.steps[-1]
    assert step.name == "tune"
    assert step.options["runner"] == "ort"
    assert best.ratio is not None
    assert step.options["ratio"] == round(best.ratio.median, 4)
    assert step.options["ratio_interval"] == [round(bound, 4) for bound in best.ratio.interval]
    assert (step.options["cpu"], step.options["trial_sha256"]) == (HERE.cpu, best.sha256)
    (accuracy,) = artifact.card.accuracy
    assert (accuracy.data, accuracy.samples) == (best.fidelity.data, best.fidelity.samples)
    assert accuracy.top1 == pytest.approx(best.fidelity.top1, abs=1e-6)
    properties = {entry.key: entry.value for entry in read_model(file).metadata_props}
    assert json.loads(properties[ORT_CONFIG_KEY]) == {
        "session_options": {"intra_op_num_threads": 1}
    }
    evidence = json.loads((searched.folder / "tune.json").read_text())
    assert len(evidence["trials"]) == len(report.trials)
    assert evidence["passed"]


def test_no_image_sets_a_range_and_counts_for_accuracy(net: Path, searched: Searched) -> None:
    images = len(list((net / "data").glob("*/*")))
    assert searched.report.trials[0].fidelity.samples == images - min(32, images // 2)


@pytest.mark.parametrize("when", [1, 4])
def test_a_killed_search_leaves_the_best_and_goes_on(
    when: int, net: Path, track: Track, tmp_path: Path
) -> None:
    track.fail_at = when
    with pytest.raises(KeyboardInterrupt):
        search(net, tmp_path)
    load(tmp_path / "net.tuned.onnx")
    assert len(json.loads((tmp_path / "tune.json").read_text())["trials"]) == when
    before = track.raced[:when]
    track.raced.clear()
    track.fail_at = -1

    report = search(net, tmp_path)

    # Only the leaders of the last race are timed again.
    assert not set(before) & set(track.raced[:-3])
    assert len(report.trials) > when


def test_a_folder_of_another_search_is_refused(
    net: Path, searched: Searched, track: Track, tmp_path: Path
) -> None:
    shutil.copytree(searched.folder, tmp_path, dirs_exist_ok=True)
    with pytest.raises(SpecError, match="another search"):
        search(net, tmp_path, TuneSpec(max_drop=1.0, calibration_samples=32, threads=1))
    (tmp_path / "tune.json").write_text("{")
    with pytest.raises(SpecError, match="not a record of this version"):
        search(net, tmp_path)
    assert not track.raced


def test_trials_whose_file_was_changed_are_done_again(
    net: Path, searched: Searched, track: Track, tmp_path: Path
) -> None:
    report = searched.report
    shutil.copytree(searched.folder, tmp_path, dirs_exist_ok=True)
    changed = tmp_path / "trials" / report.trials[1].file
    changed.unlink()
    search(net, tmp_path)
    assert track.raced[0].startswith(report.trials[1].recipe.name)


def test_float_layers_where_int8_alone_is_over_the_budget(
    net: Path, track: Track, tmp_path: Path
) -> None:
    spec = TuneSpec(max_drop=5.0, time_limit=600.0, calibration_samples=32, threads=1)
    report = search(net, tmp_path, spec)
    mixed = [trial for trial in report.trials if trial.recipe.float_layers]
    assert mixed
    assert report.best is not None
    assert report.holds(report.best)


def test_without_time_the_reference_is_still_measured(
    net: Path, track: Track, tmp_path: Path
) -> None:
    spec = TuneSpec(max_drop=100.0, time_limit=0.1, calibration_samples=32, threads=1)
    report = search(net, tmp_path, spec)
    assert len(report.trials) == 1
    assert not report.complete
    assert (tmp_path / "net.tuned.onnx").exists()


class Clock:
    """Stands still, except for 100 seconds with each step of the work called ``slow``."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slow = ""
        self.stages: list[str] = []

    def monotonic(self) -> float:
        return self.now

    def progress(self, stage: str, done: int, total: int) -> None:
        self.stages.append(stage)
        if stage == "calibrating" and self.slow in next(
            (name for name in reversed(self.stages) if name.startswith("trying")), ""
        ):
            self.now += 100.0


def test_a_candidate_is_stopped_in_the_middle_of_its_work(
    net: Path, track: Track, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("resnet_deploy.tuning.deadline.time.monotonic", clock.monotonic)
    clock.slow = "int8-mse-best"
    spec = replace(SPEC, time_limit=100.0)

    def run() -> TuningReport:
        source = load(net / "net.onnx")
        return tune(
            source, tmp_path, spec, data=net / "data", environment=HERE, progress=clock.progress
        )

    report = run()

    stopped, *later = report.untried
    assert stopped.startswith("int8-mse-best")
    assert any("minmax" in name for name in later)
    assert clock.stages[-1] == "calibrating"
    assert not report.complete
    assert not any(trial.name in report.untried for trial in report.trials)
    assert len(report.trials) > 1
    assert report.best is not None
    assert (tmp_path / "net.tuned.onnx").exists()
    said = " ".join(view(report).method)
    assert f"not tried: {stopped}; " in said

    clock.now, clock.slow = 0.0, "nothing"
    again = run()
    assert again.complete
    assert again.untried == ()
    assert stopped in [trial.name for trial in again.trials]


def test_the_least_time_is_told_before(
    net: Path, track: Track, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = TuneSpec(max_drop=100.0, time_limit=0.1, calibration_samples=32, threads=1)
    report = search(net, tmp_path, spec)
    (said,) = (entry for entry in caplog.records if entry.levelname == "WARNING")
    assert "the default int8 file comes first, and takes about" in said.getMessage()
    assert "more than the time limit of 0.1 s" in said.getMessage()
    assert report.least_seconds is not None
    assert report.least_seconds > 0.1
    assert "was estimated to take" in " ".join(view(report).method)


def test_accuracy_takes_as_many_images_as_there_is_time_for() -> None:
    costs = Costs(prepared=0.004, run=0.003)
    assert costs.images_within(10.0, 5000) == 1000
    assert costs.images_within(0.1, 5000) == 500
    assert costs.images_within(0.1, 60) == 60
    assert costs.least(1000, calibrated=0, race=6.0) == pytest.approx(10 + 6 + 5)


def test_what_cannot_run_is_named_and_not_fatal(
    net: Path, track: Track, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def race(entrants: Sequence[Entrant], report: TuningReport, *, seconds: float) -> list[Trial]:
        if entrants[0].recipe.input is InputFormat.UINT8_NCHW:
            raise RunnerError("refused")
        return track.race(entrants, report, seconds=seconds)

    monkeypatch.setattr("resnet_deploy.tuning.search.race", race)
    report = search(net, tmp_path)
    assert any("uint8-nchw" in name and text == "refused" for name, text in report.skipped.items())


def test_a_drop_needs_labels(net: Path, tmp_path: Path) -> None:
    images = sorted((net / "data").glob("*/*"))
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, image in enumerate(images[:4]):
        (flat / f"{number}{image.suffix}").write_bytes(image.read_bytes())
    with pytest.raises(DatasetError, match=r"has no labels.*--min-agreement"):
        tune(load(net / "net.onnx"), tmp_path / "out", SPEC, data=flat, environment=HERE)


def test_no_file_tried_can_overflow(searched: Searched) -> None:
    cards = [
        load(searched.folder / "trials" / trial.file).card
        for trial in searched.report.trials
        if trial.recipe.int8
    ]
    assert {card.overflow for card in cards if card is not None} == {Overflow.NEVER}


@pytest.mark.parametrize("evidence", ["deleted", "of another file"])
def test_a_file_that_no_evidence_names_is_made_anew(
    evidence: str, net: Path, searched: Searched, track: Track, tmp_path: Path
) -> None:
    """A search that was killed before it had any evidence may have been of another network."""
    report = searched.report
    shutil.copytree(searched.folder, tmp_path, dirs_exist_ok=True)
    stale = tmp_path / "trials" / report.trials[1].file
    shutil.copy(tmp_path / "trials" / report.trials[0].file, stale)
    if evidence == "deleted":
        (tmp_path / "tune.json").unlink()
    again = search(net, tmp_path)
    assert {trial.name: trial.sha256 for trial in again.trials} == {
        trial.name: trial.sha256 for trial in report.trials
    }
