"""The whole job: what is written, and above all what is not."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from resnet_deploy import api
from resnet_deploy.artifact.files import sha256_of
from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import load, save
from resnet_deploy.errors import ArtifactError, RunnerError, SpecError, UnsupportedGraphError
from resnet_deploy.models.registry import build
from resnet_deploy.quantization.inspection import inspect_int8
from resnet_deploy.results import Deployment, FloatOp, Inspection, from_dict, to_dict
from resnet_deploy.spec import INT8_TOLERANCE, Tolerance, resnet_spec
from tests.support.exports import exported
from tests.support.graphs import noise, parse


def images(folder: Path, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    random = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(4):
            pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def test_both_files_describe_themselves(tiny_export: Path) -> None:
    fp32, int8 = load(tiny_export / "resnet8.onnx"), load(tiny_export / "resnet8.int8.onnx")
    assert fp32.card is not None
    assert int8.card is not None
    assert (fp32.precision, int8.precision) == ("fp32", "int8")
    assert fp32.card.weights.kind == "random"
    assert [step.name for step in int8.card.steps] == [
        "fold_batchnorm",
        "export",
        "simplify",
        "quantize",
        "verdict",
    ]
    quantized = int8.card.steps[-2].options
    assert quantized["fp32_sha256"] == fp32.sha256
    assert quantized["synthetic"] is True
    assert fp32.card.parity["fp32_relative"] < 1e-5
    assert int8.card.parity["int8_sqnr_db"] > 15


def test_a_checkpoint_with_calibration_images(tmp_path: Path) -> None:
    module = build(resnet_spec(8, num_classes=2), seed=1)
    torch.save(module.state_dict(), tmp_path / "net.pth")
    data = images(tmp_path / "images")

    made = exported(
        tmp_path / "out", weights=tmp_path / "net.pth", calibration=data, calibration_samples=6
    )

    assert made.passed
    card = load(Path(made.files["int8"])).card
    assert card is not None
    assert (card.model.depth, card.labels) == (8, ("cat", "dog"))
    assert card.weights.sha256 == sha256_of(tmp_path / "net.pth")
    quantize, verdict = card.steps[-2:]
    assert quantize.options["samples"] == 6
    assert verdict.options["text"].startswith("measure on the target")
    assert any(
        "class names are those of the calibration images" in notice for notice in made.notices
    )


@pytest.mark.usefixtures("traced_anew")
def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (exported(tmp_path / name) for name in ("a", "b"))
    assert first.sha256 == second.sha256
    assert sha256_of(tmp_path / "a/resnet8.onnx") == sha256_of(tmp_path / "b/resnet8.onnx")


def test_nothing_is_written_when_parity_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnet_deploy.verification.FP32_TOLERANCE", Tolerance(max_relative=1e-12))
    made = exported(tmp_path)
    assert not made.passed
    assert made.parity["fp32"].cases[0].failures
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_when_int8_is_too_noisy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnet_deploy.verification.INT8_TOLERANCE", Tolerance(min_sqnr_db=99))
    assert INT8_TOLERANCE.min_sqnr_db == 15
    assert not exported(tmp_path).passed
    assert list(tmp_path.iterdir()) == []


def test_float_operators_are_refused_unless_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = FloatOp(layer="layer1.0.conv1", op_type="FusedConv", reason="because")

    def with_float(path: Path, exclude: tuple[str, ...]) -> Inspection:
        found = inspect_int8(path)
        return Inspection(model=found.model, op_counts=found.op_counts, float_ops=(left,))

    monkeypatch.setattr("resnet_deploy.quantization.quantized.inspect_int8", with_float)
    assert not exported(tmp_path).passed
    assert list(tmp_path.iterdir()) == []
    made = exported(tmp_path, allow_float_ops=True)
    assert made.passed
    assert made.inspection is not None
    assert made.inspection.float_ops == (left,)


def test_somebody_elses_file_stays(tmp_path: Path) -> None:
    foreign = tmp_path / "resnet8.int8.onnx"
    foreign.write_bytes(b"precious")
    with pytest.raises(ArtifactError, match="use --force"):
        exported(tmp_path)
    assert foreign.read_bytes() == b"precious"
    assert [file.name for file in tmp_path.iterdir()] == ["resnet8.int8.onnx"]
    assert exported(tmp_path, force=True).passed


def test_a_stale_int8_file_is_mentioned(tiny_export: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_export / "resnet8.int8.onnx", tmp_path)
    made = exported(tmp_path, int8=False)
    assert list(made.files) == ["fp32"]
    assert any("of an earlier export" in notice for notice in made.notices)


def test_labels_must_fit(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="names 2 classes, the model has 10"):
        exported(tmp_path, labels=("a", "b"))


def test_a_fixed_batch_size(tmp_path: Path) -> None:
    made = exported(tmp_path, batch_size=4)
    assert made.passed
    assert load(tmp_path / "resnet8.int8.onnx").input.shape[0] == 4


FOREIGN = """
g (float[N,3,40,40] data) => (float[N,5] prob) {
  a = Conv<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(data, w1)
  b = BatchNormalization(a, one, zero, zero, one)
  c = Relu(b)
  d = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(c, w2)
  e = Add(d, c)
  f = Clip(e, low, high)
  m = ReduceMean<axes=[2,3], keepdims=0>(f)
  prob = Gemm<transB=1>(m, w3)
}
"""


def foreign(folder: Path, *, opset: int = 13) -> Path:
    weights = {
        "w1": noise(16, 3, 3, 3) / 5,
        "w2": noise(16, 16, 3, 3) / 12,
        "w3": noise(5, 16),
        "one": np.ones(16, np.float32),
        "zero": np.zeros(16, np.float32),
        "low": np.float32(0),
        "high": np.float32(6),
    }
    path = folder / "theirs.onnx"
    onnx.save(parse(FOREIGN, weights, opset=opset), path)
    return path


@pytest.mark.parametrize("opset", [12, 13, 17])
def test_a_file_of_another_tool_is_quantized(tmp_path: Path, opset: int) -> None:
    path = foreign(tmp_path, opset=opset)
    out = tmp_path / "theirs.int8.onnx"

    made = api.deploy(path, out)

    assert made.passed, made.inspection
    artifact = load(out)
    assert artifact.card is not None
    assert artifact.card.weights.kind == "onnx"
    assert (artifact.input.name, artifact.output.name) == ("data", "prob")
    assert artifact.card.model.num_classes == 5
    assumed, synthetic = made.notices
    assert assumed.startswith("theirs.onnx does not say all of how its pictures are prepared")
    assert "ranges come from synthetic images" in synthetic


def test_a_foreign_operator_in_float_is_named_not_refused(tmp_path: Path) -> None:
    model = onnx.load(foreign(tmp_path))
    for node in model.graph.node:
        if node.op_type == "Clip":
            node.op_type = "Elu"
            del node.input[1:]
    path, out = tmp_path / "elu.onnx", tmp_path / "elu.int8.onnx"
    onnx.save(model, path)

    made = api.deploy(path, out)
    assert made.passed
    assert made.inspection is not None
    assert any(op.op_type == "Elu" for op in made.inspection.float_ops)

    strict = api.deploy(path, tmp_path / "strict.onnx", allow_float_ops=False)
    assert not strict.passed
    assert not (tmp_path / "strict.onnx").exists()


def test_logits_of_a_convolution_are_int8_too(tmp_path: Path) -> None:
    text = """
    g (float[N,3,8,8] x) => (float[N,5,1,1] y) {
      a = Conv<kernel_shape=[3,3]>(x, w1)
      r = Relu(a)
      p = GlobalAveragePool(r)
      y = Conv<kernel_shape=[1,1]>(p, w2)
    }
    """
    path = tmp_path / "conv.onnx"
    onnx.save(parse(text, {"w1": noise(8, 3, 3, 3), "w2": noise(5, 8, 1, 1)}), path)
    made = api.deploy(path, tmp_path / "conv.int8.onnx", allow_float_ops=False)
    assert made.passed, made.inspection
    assert load(tmp_path / "conv.int8.onnx").output.name == "y"


def test_quantizing_onto_itself_or_twice(tiny_export: Path, tmp_path: Path) -> None:
    path = tiny_export / "resnet8.onnx"
    with pytest.raises(SpecError, match="choose another name"):
        api.deploy(path, path)
    with pytest.raises(UnsupportedGraphError, match="int8 already"):
        api.deploy(tiny_export / "resnet8.int8.onnx", tmp_path / "x.onnx")


def test_unfolded_export_folds_in_the_graph(tmp_path: Path) -> None:
    made = exported(tmp_path, fold=False, int8=False)
    assert made.passed
    kinds = {node.op_type for node in read_model(tmp_path / "resnet8.onnx").graph.node}
    assert "BatchNormalization" not in kinds


def test_json_of_a_deployment(tiny_export: Path, tmp_path: Path) -> None:
    made = exported(tmp_path, int8=False)
    data = json.loads(json.dumps(to_dict(made)))
    assert data["passed"] is True
    assert from_dict(Deployment, data) == made


def test_cards_do_not_grow_when_a_file_is_saved_again(tiny_export: Path, tmp_path: Path) -> None:
    artifact = load(tiny_export / "resnet8.onnx")
    assert artifact.card is not None
    again = save(read_model(artifact.path), tmp_path / "copy.onnx", artifact.card)
    assert again.sha256 == artifact.sha256


def test_answers_without_the_batch_in_front_are_refused_at_once(tmp_path: Path) -> None:
    text = """net (float[N, 3, 8, 8] x) => (float[4, N, 36] y) {
        c = Conv(x, w)
        f = Reshape(c, shape)
        y = Transpose<perm = [1, 0, 2]>(f)
    }"""
    constants = {"w": noise(4, 3, 3, 3), "shape": np.array([0, 4, 36])}
    path = tmp_path / "steps.onnx"
    onnx.save(parse(text, constants, opset=13), path)
    with pytest.raises(RunnerError, match="whose first axis is the images"):
        api.deploy(path, tmp_path / "out")
