"""What a bundle runs on: as tune found it, as asked for, and what a card may say of that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import resnet_deploy as rd
from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.onnx_file import load, with_card, write
from resnet_deploy.bundles.bundling import pack
from resnet_deploy.bundles.runtime import Choice, Runtime, check_runtime, chosen
from resnet_deploy.bundles.tolerances import tolerance
from resnet_deploy.bundles.tuned import Finding, finding_of
from resnet_deploy.errors import ArtifactError, MissingDependencyError, SpecError
from resnet_deploy.results import TuningReport, to_dict
from resnet_deploy.spec import BundleRuntime, BundleTarget, RunOptions
from tests.support.reports.benchmarks import tuning
from tests.support.tiny_model import save_colour_model

AUTO, ORT, OPENVINO, BOTH = BundleRuntime
CPP, MOBILE, NODE, WEB, TRITON = BundleTarget
FOUND = Finding(runner="openvino", threads=2, ratio=1.31, cpu="a Xeon")
STEP = {"runner": "openvino", "threads": 2, "instances": 1, "batch_size": 1, "options": {}}


def choice(target: BundleTarget, wanted: BundleRuntime, found: Finding | None) -> Choice:
    return chosen(target, wanted, found, name="net.onnx", min_onnxruntime="1.14")


def tuned(path: Path, step: Mapping[str, Any], *later: str) -> Artifact:
    """Write a net whose card has the ``step`` of tune, and empty ``later`` ones."""
    made = save_colour_model(path)
    assert made.card is not None
    card = made.card.with_step("tune", step)
    for name in later:
        card = card.with_step(name, {})
    return write(with_card(made, card), path)


@pytest.mark.parametrize(
    ("target", "wanted", "kinds", "why"),
    [
        (CPP, AUTO, [OPENVINO], "INFERENCE_PRECISION_HINT=f32"),
        (CPP, BOTH, [OPENVINO, ORT], "the file is laid out for it"),
        (CPP, ORT, [ORT], "as asked for, though the file is laid out for OpenVINO"),
        (WEB, AUTO, [ORT], "there is no other here, but the file is laid out for OpenVINO"),
    ],
)
def test_a_file_that_is_laid_out_for_openvino(
    target: BundleTarget, wanted: BundleRuntime, kinds: list[BundleRuntime], why: str
) -> None:
    pytest.importorskip("openvino")
    found = chosen(target, wanted, None, name="net.onnx", min_onnxruntime="1.14", for_openvino=True)
    assert [runtime.kind for runtime in found.runtimes] == kinds
    assert why in found.why


@pytest.mark.parametrize(
    ("target", "wanted", "found", "kinds", "why"),
    [
        (CPP, AUTO, None, [ORT], "tune has not looked at this file"),
        (CPP, AUTO, FOUND, [OPENVINO], "as tune measured: 1.31 times the default file's speed on"),
        (CPP, AUTO, replace(FOUND, interval=(1.2, 1.4)), [OPENVINO], "1.31 times the default file"),
        (CPP, AUTO, replace(FOUND, batch_size=8), [OPENVINO], "with 1 at once and batches of 8"),
        (CPP, AUTO, replace(FOUND, ratio=None), [OPENVINO], "as tune found"),
        (CPP, AUTO, replace(FOUND, runner="ort"), [ORT], "as tune measured: 1.31 times"),
        (CPP, AUTO, replace(FOUND, runner="ort-openvino"), [ORT], "bundles do not have that"),
        (CPP, BOTH, FOUND, [OPENVINO, ORT], "as tune measured: 1.31 times"),
        (CPP, BOTH, None, [ORT, OPENVINO], "tune has not looked at this file"),
        (CPP, ORT, FOUND, [ORT], "as asked for, though tune found it faster on OpenVINO"),
        (CPP, ORT, replace(FOUND, ratio=None), [ORT], "as asked for, though tune chose OpenVINO"),
        (CPP, OPENVINO, None, [OPENVINO], "as asked for"),
        (TRITON, AUTO, FOUND, [OPENVINO], "as tune measured: 1.31 times"),
        (NODE, AUTO, FOUND, [ORT], "Node.js has ONNX Runtime alone"),
        (MOBILE, AUTO, FOUND, [ORT], "phones have ONNX Runtime alone"),
        (MOBILE, BOTH, FOUND, [ORT, OPENVINO], "phones have ONNX Runtime alone"),
    ],
)
def test_what_runs_it_and_why(target, wanted, found, kinds, why):
    made = choice(target, wanted, found)
    assert [runtime.kind for runtime in made.runtimes] == kinds
    assert why in made.why
    assert made.ratio == (1.31 if "1.31" in made.why else None)


def test_a_difference_that_could_not_be_told_is_not_told():
    made = choice(CPP, AUTO, replace(FOUND, interval=(0.7, 1.9)))
    assert "no difference in speed to the default file could be told (0.70 to 1.90" in made.why


def test_settings_are_those_of_the_runtime_that_tune_measured():
    spinless = (("session.dynamic_block_base", "4"), ("session.intra_op.allow_spinning", "0"))
    ort, openvino = choice(CPP, BOTH, Finding(runner="ort", threads=3, options=spinless)).runtimes
    assert (ort.threads, ort.spin, ort.options) == (3, False, spinless[:1])
    assert (openvino.threads, openvino.spin, openvino.options) == (0, True, ())
    assert ort.min_version == "1.14"
    assert openvino.made_with.startswith(f"{openvino.min_version}.")


@pytest.mark.parametrize(
    ("target", "wanted", "message"),
    [
        (TRITON, BOTH, "one backend of the server runs a model"),
        (NODE, OPENVINO, "not for node: Node.js has ONNX Runtime alone"),
        (WEB, BOTH, "not for web: a web page has ONNX Runtime alone"),
        (MOBILE, OPENVINO, "--runtime both puts OpenVINO beside it"),
    ],
)
def test_a_runtime_that_a_target_has_not_is_refused_before_any_work(target, wanted, message):
    with pytest.raises(SpecError, match=message):
        check_runtime(target, wanted)
    with pytest.raises(SpecError, match=message):
        rd.bundle("there-is-no.onnx", target.value, "out", runtime=wanted.value)


def test_openvino_is_needed_only_where_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise MissingDependencyError("no")

    monkeypatch.setattr("resnet_deploy.bundles.runtime.import_openvino", missing)
    assert choice(CPP, AUTO, None).runtimes[0].kind is ORT
    assert choice(CPP, ORT, FOUND).runtimes[0].kind is ORT
    with pytest.raises(MissingDependencyError, match=r"^--runtime needs OpenVINO: pip install"):
        choice(CPP, BOTH, None)
    with pytest.raises(MissingDependencyError, match=r"fastest on OpenVINO.*--runtime ort does"):
        choice(CPP, AUTO, FOUND)


def test_only_the_last_tune_of_this_very_file_counts(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    assert finding_of(save_colour_model(path)) is None
    assert finding_of(tuned(path, STEP, "verdict")) == Finding(runner="openvino", threads=2)
    assert finding_of(tuned(path, STEP, "quantize")) is None


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"runner": "other"}, "other"),
        ({"threads": "2"}, "threads is '2'"),
        ({"threads": True}, "threads is True"),
        ({"threads": 10**9}, "threads is 1000000000"),
        ({"instances": 0}, "instances is 0"),
        ({"ratio": -1}, "ratio is -1"),
        ({"ratio": 1.1, "ratio_interval": [1.2, 1.0]}, "ratio_interval is [1.2, 1.0]"),
        ({"options": {"CACHE_DIR": "/tmp/x"}}, "option 'CACHE_DIR'"),
        ({"runner": "ort", "options": {"optimized_model_filepath": "x"}}, "optimized_model_file"),
        ({"options": [1]}, "tune it again"),
    ],
)
def test_a_card_that_no_tune_wrote_is_one_line(tmp_path, changed, named):
    with pytest.raises(ArtifactError, match="in another way than tune does") as caught:
        finding_of(tuned(tmp_path / "net.onnx", {**STEP, **changed}))
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As tune leaves it: the best file, on OpenVINO, and the evidence."""
    report = on_openvino(tuning())
    best = report.best
    assert best is not None
    folder = tmp_path / "net.tuned"
    folder.mkdir()
    tuned(folder / "net.tuned.onnx", {**STEP, "trial_sha256": best.sha256, "ratio": 1.2})
    (folder / "tune.json").write_text(json.dumps(to_dict(report)))
    return folder


def on_openvino(report: TuningReport) -> TuningReport:
    setting = RunOptions(runner="openvino", threads=2)
    trials = tuple(replace(trial, setting=setting) for trial in report.trials)
    return replace(report, trials=trials)


def test_the_folder_of_tune_is_its_best_file_with_what_was_measured(folder, tmp_path):
    report = rd.bundle(folder, "cpp", tmp_path / "out", runtime="both")
    best = tuning().best
    assert best is not None
    assert best.ratio is not None
    assert report.ratio == best.ratio.median
    assert report.why.startswith("as tune measured: 1.1")
    assert [(run.name, run.threads) for run in report.runtimes] == [
        ("OpenVINO", 2),
        ("ONNX Runtime", 0),
    ]
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert [run["name"] for run in manifest["runtimes"]] == ["openvino", "ort"]
    assert (manifest["ratio"], manifest["why"]) == (report.ratio, report.why)
    assert set(manifest["networks"][0]["tolerances"]) == {"openvino", "ort"}
    first, second = manifest["golden"][0]["answers"]
    assert (first["runtime"], first["scores"]) == ("openvino", "golden/photo-like.model.scores")
    assert (second["runtime"], second["scores"]) == ("ort", "golden/photo-like.model.ort.scores")
    ours, theirs = (
        np.fromfile(tmp_path / "out" / answer["scores"], "<f4") for answer in (first, second)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_a_name_in_a_card_stays_in_its_line(tmp_path: Path) -> None:
    found = finding_of(tuned(tmp_path / "net.onnx", {**STEP, "cpu": "a\x1b[2J\nXeon" + "x" * 999}))
    assert found is not None
    assert found.cpu.isprintable()
    assert len(found.cpu) == 100


@pytest.mark.parametrize("what", ["another file", "damaged"])
def test_evidence_of_something_else_is_not_used_and_that_is_said(folder, tmp_path, what):
    evidence = folder / "tune.json"
    if what == "damaged":
        evidence.write_text("{")
    else:
        evidence.write_text(evidence.read_text().replace("0" * 64, "1" * 64))
    report = rd.bundle(folder, "cpp", tmp_path / "out")
    assert report.ratio == 1.2  # as the card says
    assert "tune.json is " in report.notes[0]
    assert report.notes[0].endswith("not used")


def test_a_file_that_took_the_place_of_the_tuned_one_is_noticed(folder, tmp_path):
    save_colour_model(folder / "net.tuned.onnx")
    report = rd.bundle(folder, "cpp", tmp_path / "out")
    assert report.why == "tune has not looked at this file"
    assert report.notes[0].endswith("of another file than net.tuned.onnx: it is not used")


@pytest.mark.parametrize("count", [-3, 0, 201])
def test_a_count_of_pictures_that_no_bundle_holds_is_refused(tmp_path: Path, count: int) -> None:
    save_colour_model(tmp_path / "net.onnx")
    with pytest.raises(SpecError, match=rf"pictures is {count}: say 1 to 200"):
        rd.bundle(tmp_path / "net.onnx", "cpp", tmp_path / "out", pictures=count)


def test_a_folder_has_one_best_file(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"has no NAME\.tuned\.onnx"):
        rd.bundle(tmp_path, "cpp", tmp_path / "out")
    for name in "ab":
        save_colour_model(tmp_path / f"{name}.tuned.onnx")
    with pytest.raises(ArtifactError, match=r"has 2 files called NAME\.tuned\.onnx"):
        rd.bundle(tmp_path, "cpp", tmp_path / "out")


def test_answers_are_recorded_with_the_options_of_the_bundle(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    tuned(path, {**STEP, "options": {"INFERENCE_PRECISION_HINT": "bf16"}})
    report = pack(path, CPP, tmp_path / "out")
    (runtime,) = report.runtimes
    assert runtime.options == (("INFERENCE_PRECISION_HINT", "bf16"),)
    assert report.tolerance == 5e-2
    assert load(path).precision == "fp32"


def test_what_may_compute_in_bfloat16_is_let_differ_more(tiny_export: Path) -> None:
    int8 = load(tiny_export / "resnet8.int8.onnx")
    ort = Runtime(kind=ORT, min_version="1.14", made_with="1.31")
    openvino = replace(ort, kind=OPENVINO)
    bounds = [tolerance(int8, *of) for of in ((ort, CPP), (openvino, CPP), (openvino, TRITON))]
    assert bounds == [1e-4, 1e-4, 1e-1]
