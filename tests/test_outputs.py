"""Files of every output, from export to prediction, in fp32 and int8."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from resnet_deploy import api
from resnet_deploy.arrays import Array
from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import load, save
from resnet_deploy.errors import RunnerError
from resnet_deploy.isa import guest
from resnet_deploy.isa import verify as verify_isa
from resnet_deploy.isa.emulated import EmulatedLogits
from resnet_deploy.isa.instruction_sets import ISAS, Isa
from resnet_deploy.quantization.inspection import inspect_int8
from resnet_deploy.reference import FileReference, default_reference
from resnet_deploy.results import from_dict, to_dict
from resnet_deploy.runners.base import infer_every
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import OutputSpec
from resnet_deploy.summarize import summarize_artifact
from resnet_deploy.verification import compare, default_tolerance
from tests.support.exports import exported
from tests.support.graphs import noise
from tests.support.outputs import paths
from tests.support.terminal import printed

SHAPES: dict[str, dict[str, tuple[int | None, ...]]] = {
    "softmax": {"probabilities": (None, 10)},
    "top-3": {"probabilities": (None, 3), "classes": (None, 3)},
    "embedding": {"embedding": (None, 64)},
    "features": {"c2": (None, 16, 32, 32), "c3": (None, 32, 16, 16), "c4": (None, 64, 8, 8)},
}
NAMES = tuple(SHAPES)


@pytest.mark.parametrize("name", NAMES)
def test_both_files_hold_and_run_in_int8(output_exports: Path, name: str) -> None:
    folder = output_exports
    for path in paths(folder, name):
        artifact = load(path)
        assert {one.name: one.shape for one in artifact.outputs} == SHAPES[name]
        assert artifact.card is not None
        assert artifact.card.output.name == name
        assert artifact.output_kind is artifact.card.output.kind
        assert not artifact.card.labels
        assert summarize_artifact(path).outputs == tuple(map(str, artifact.outputs))
    inspection = inspect_int8(paths(folder, name)[1])
    assert inspection.passed, inspection.float_ops
    counts = inspection.op_counts
    assert (counts["QLinearConv"], counts["QLinearAdd"]) == (9, 3)  # option A copies by two
    assert {"Conv", "FusedConv", "Add", "Relu", "Gemm"}.isdisjoint(counts)
    assert counts.get("QGemm", 0) == (1 if name in ("softmax", "top-3") else 0)
    assert counts["QuantizeLinear"] == 1  # of the picture alone
    assert counts.get("DequantizeLinear", 0) == {"features": 3, "embedding": 1}.get(name, 0)


@pytest.mark.parametrize("name", NAMES)
def test_verify_compares_every_output(output_exports: Path, name: str) -> None:
    for path in paths(output_exports, name):
        reference = default_reference(load(path))
        images = noise(8, 3, 32, 32)
        report = compare(path, reference, images, data="noise", meaningful=False, per_layer=True)
        assert report.passed
        case = report.cases[0]
        compared = [one.name for one in case.outputs]
        assert compared == [one for one in SHAPES[name] if one != "classes"]
        assert (case.agreement is None) == (name in ("embedding", "features"))
        assert "layer2.0.conv1" in [layer.name for layer in report.layers]
        text = printed(report)
        assert ("top-1" in text) == (case.agreement is not None)
        assert ("c3" in text) == (name == "features")
        again = from_dict(type(report), json.loads(json.dumps(to_dict(report))))
        assert [one.agreement for one in again.cases] == [one.agreement for one in report.cases]


def test_one_bad_map_fails_and_is_named(output_exports: Path, tmp_path: Path) -> None:
    path = paths(output_exports, "features")[0]
    model = read_model(path)
    # The last block's last bias reaches c4 alone.
    last = [node for node in model.graph.node if node.op_type == "Conv"][-1]
    bias = next(one for one in model.graph.initializer if one.name == last.input[2])
    array = onnx.numpy_helper.to_array(bias) + np.float32(0.5)
    bias.CopyFrom(onnx.numpy_helper.from_array(array, bias.name))
    card = load(path).card
    assert card is not None
    bad = save(model, tmp_path / "bad.onnx", card)
    report = compare(
        bad.path, FileReference(path, runner="ort"), noise(8, 3, 32, 32), data="", meaningful=False
    )
    assert not report.passed
    failures = [failure for case in report.cases for failure in case.failures]
    assert all(failure.startswith("c4: relative difference") for failure in failures)
    assert len(failures) == len(report.cases)


def test_files_of_other_outputs_are_not_comparable(
    output_exports: Path,
) -> None:
    top, softmax = paths(output_exports, "top-3")[0], paths(output_exports, "softmax")[0]
    with pytest.raises(RunnerError, match=r"2 outputs \(probabilities, classes\)"):
        compare(
            top,
            FileReference(softmax, runner="ort"),
            noise(8, 3, 32, 32),
            data="",
            meaningful=False,
        )


@pytest.mark.parametrize("name", ["top-3", "features"])
def test_isas_compare_all_outputs(
    output_exports: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def here(isa: Isa, path: Path, images: Array, **options: object) -> EmulatedLogits:
        """The emulated CPU's process, without an emulator."""
        np.save(tmp_path / "images.npy", images)
        request = {
            "model": str(path),
            "images": str(tmp_path / "images.npy"),
            "logits": str(tmp_path / "found.npy"),
            "batch_size": 5,
            "threads": 1,
            "site": [],
        }
        (tmp_path / "request.json").write_text(json.dumps(request))
        command = [sys.executable, guest.__file__, str(tmp_path / "request.json")]
        subprocess.run(command, check=True, capture_output=True)
        found = np.load(tmp_path / "found.npy")
        return EmulatedLogits(logits=found, emulator="none", seconds=1.0, cached=False)

    monkeypatch.setattr(verify_isa, "is_native", lambda isa: False)
    monkeypatch.setattr(verify_isa, "emulate", here)
    path = paths(output_exports, name)[1]
    report = verify_isa.compare_isas(
        path,
        (ISAS["x86-avx2"],),
        noise(5, 3, 32, 32),
        data="noise",
        tolerance=verify_isa.isa_tolerance(load(path), 5, meaningful=True),
        reference=default_reference(load(path)),
    )
    assert report.passed
    (run,) = report.runs
    assert run.bit_identical
    assert run.agreement is None
    assert run.reference is not None
    assert 20 < run.reference.sqnr_db < 80
    assert "-" in printed(report)


@pytest.mark.parametrize("excluded", ["layer2.*", "layer3.*"])
def test_maps_of_float_stages_are_not_rounded(
    output_exports: Path, excluded: str, tmp_path: Path
) -> None:
    path = paths(output_exports, "features")[0]
    out = tmp_path / "mixed.onnx"
    assert api.deploy(path, out, exclude=(excluded,)).passed
    exact = {"layer2.*": "c3", "layer3.*": "c4"}[excluded]
    found = producer_types(out)
    assert found.pop(exact) == "Relu"
    assert set(found.values()) == {"DequantizeLinear"}


def producer_types(path: Path) -> dict[str, str]:
    """The operator that each output comes from."""
    graph = read_model(path).graph
    operators = {name: node.op_type for node in graph.node for name in node.output}
    return {output.name: operators[output.name] for output in graph.output}


@pytest.mark.parametrize("name", ["top-3", "features"])
def test_a_foreign_file_with_several_outputs_is_quantized(
    output_exports: Path, name: str, tmp_path: Path
) -> None:
    model = read_model(paths(output_exports, name)[0])
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    out = tmp_path / "foreign.int8.onnx"
    assert api.deploy(tmp_path / "foreign.onnx", out).passed
    artifact = load(out)
    assert artifact.card is not None
    assert artifact.output_kind is artifact.card.output.kind
    assert artifact.output_kind is OutputSpec.parse(name).kind
    assert {one.name for one in artifact.outputs} == set(SHAPES[name])


def test_a_fixed_batch_size_is_fed_in_pieces(tmp_path: Path) -> None:
    assert exported(tmp_path, output="top-2", batch_size=2, int8=False).passed
    path = tmp_path / "resnet8.onnx"
    assert [one.shape for one in load(path).outputs] == [(2, 2), (2, 2)]
    images = noise(3, 3, 32, 32)
    probabilities, classes = infer_every(OrtRunner(path), images)
    assert (probabilities.shape, classes.shape) == ((3, 2), (3, 2))
    assert (probabilities[:, 0] >= probabilities[:, 1]).all()


def test_class_names_stay_out_of_files_without_classes(tmp_path: Path) -> None:
    """What a network knows is no mistake of its user; ``export --labels`` is refused."""
    exported(tmp_path, output="embedding", labels=tuple("abcdefghij")).check()
    for path in paths(tmp_path, "resnet8"):
        card = load(path).card
        assert card is not None
        assert card.labels == ()


def test_probabilities_in_fp32_have_a_tolerance_of_their_own(
    output_exports: Path,
) -> None:
    bounds = {
        name: default_tolerance(
            load(paths(output_exports, name)[0]), 8, meaningful=False
        ).max_relative
        for name in NAMES
    }
    assert bounds == {"softmax": 1e-4, "top-3": 1e-4, "embedding": 1e-5, "features": 1e-5}


def test_a_summary_shows_the_outputs(output_exports: Path) -> None:
    text = printed(summarize_artifact(paths(output_exports, "features")[1]))
    assert "outputs: c2 (N, 16, 32, 32) float32, c3 (N, 32, 16, 16) float32" in text
    assert "classes" not in text
    text = printed(summarize_artifact(paths(output_exports, "top-3")[1]))
    assert "classes (N, 3) int64" in text
    assert "output: top 3 of 10 classes" in text
