"""export, quantize and verify as a user calls them, and what they say to bad input.

Long because the three share files that take seconds to make.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import Result
from PIL import Image

from resnet_deploy.artifact.onnx_file import load, write
from resnet_deploy.artifact.recording import recorded
from resnet_deploy.benchmark.subjects import open_models
from resnet_deploy.models.registry import build
from resnet_deploy.spec import resnet_spec
from resnet_deploy.weights.weights_file import write_weights
from tests.support.cards import full_card
from tests.support.cli import refused, run
from tests.support.forks import run_forked
from tests.support.graphs import noise, parse
from tests.support.states import state_of


def state() -> dict[str, torch.Tensor]:
    return dict(build(resnet_spec(8)).state_dict())


def test_export_writes_and_reports(tmp_path: Path) -> None:
    result = run("export", "--depth", 8, "-o", tmp_path, "--json", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    assert "PASS" in result.output
    assert "weights are random" in result.output
    data = json.loads((tmp_path / "out.json").read_text())
    assert data["passed"] is True
    assert data["environment"]["command"].startswith("resnet-deploy")
    assert load(tmp_path / "resnet8.int8.onnx").quantized


def test_json_on_stdout_stands_alone(tmp_path: Path) -> None:
    result = run("export", "--depth", 8, "-o", tmp_path, "--no-int8", "--no-simplify", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["files"] == {"fp32": str(tmp_path / "resnet8.onnx")}


def test_preprocessing_goes_into_the_card(tmp_path: Path) -> None:
    options = ("--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25", "--resize", 40, "--name", "net")
    result = run("export", "--depth", 8, "-o", tmp_path, "--no-int8", "--no-simplify", *options)
    assert result.exit_code == 0, result.output
    spec = load(tmp_path / "net.onnx").preprocess
    assert (spec.mean, spec.std) == ((0.5,) * 3, (0.25,) * 3)
    assert (spec.resize, spec.height, spec.width) == ((40, 40), 32, 32)


def test_the_card_of_the_weights_is_the_default(tmp_path: Path) -> None:
    trained = full_card(activation_ranges={})
    weights = tmp_path / "run" / "model.safetensors"
    write_weights(weights, state_of(trained.model), trained)
    options = ("--weights", weights.parent, "-o", tmp_path, "--no-int8", "--no-simplify")
    result = run("export", *options, "--interpolation", "bilinear", "--mean", "0,0,0")
    assert result.exit_code == 0, result.output
    card = load(tmp_path / "resnet8.onnx").card
    assert card is not None
    assert card.labels == trained.labels
    said = {"mean": (0.0, 0.0, 0.0), "interpolation": "bilinear"}
    assert card.preprocess == replace(trained.preprocess, **said)  # type: ignore[arg-type]
    assert run("verify", tmp_path / "resnet8.onnx", "--against", weights).exit_code == 0

    refused(run("export", "--depth", 34, "--weights", "cifar10"), "is a ResNet-20", "not 34")


def test_export_takes_no_onnx_file(tiny_export: Path, tmp_path: Path) -> None:
    result = run("export", "--weights", tiny_export / "resnet8.onnx", "-o", tmp_path / "out")
    refused(result, "resnet8.onnx is an ONNX model, which needs no export", "quantize")
    assert not (tmp_path / "out").exists()


def test_quantize_and_verify(tiny_export: Path, tmp_path: Path) -> None:
    model = tmp_path / "resnet8.onnx"
    shutil.copy(tiny_export / "resnet8.onnx", model)
    assert run("quantize", model).exit_code == 0
    int8 = tmp_path / "resnet8.int8.onnx"
    assert run("quantize", model, "-o", tmp_path / "folder").exit_code == 0
    assert (tmp_path / "folder/resnet8.int8.onnx").exists()

    assert run("verify", model, "--against", int8).exit_code == 1
    good = run("verify", int8, "--against", model, "--per-layer", "--json", tmp_path / "v.json")
    assert good.exit_code == 0, good.output
    data = json.loads((tmp_path / "v.json").read_text())
    assert data["layers"][0]["name"] == "conv1"
    bad = run("verify", int8, "--against", model, "--min-sqnr", 90)
    assert bad.exit_code == 1
    assert "FAIL" in bad.output


def test_a_model_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mynets.py").write_text(
        "from torch import nn\n"
        "def small():\n"
        "    return nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16),\n"
        "        nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 7))\n"
    )
    monkeypatch.chdir(tmp_path)
    result = run("export", "--model", "mynets:small", "--image-size", 48, "-o", "out")
    assert result.exit_code == 0, result.output
    artifact = load(Path("out/small.int8.onnx"))
    assert artifact.card is not None
    assert artifact.card.model.num_classes == 7


BAD_WEIGHTS = {
    "missing": (None, ("does not exist", "none.pth")),
    "empty": (b"", ("bad.pth",)),
    "jpeg": (b"\xff\xd8\xff\xe0" + bytes(200), ("bad.pth",)),
    "text": (b"hello\n" * 50, ("bad.pth",)),
}


@pytest.mark.parametrize("kind", BAD_WEIGHTS)
def test_files_that_are_no_checkpoint(kind: str, tmp_path: Path) -> None:
    content, words = BAD_WEIGHTS[kind]
    path = tmp_path / ("none.pth" if content is None else "bad.pth")
    if content is not None:
        path.write_bytes(content)
    refused(run("export", "--weights", path, "-o", tmp_path / "out"), *words)
    assert not (tmp_path / "out").exists()


def test_a_truncated_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(state(), path)
    path.write_bytes(path.read_bytes()[:5000])
    refused(run("export", "--weights", path, "-o", tmp_path / "out"), "net.pth")


def test_another_depth_and_other_classes(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(state(), path)
    refused(run("export", "--depth", 20, "--weights", path), "ResNet-8", "not 20")
    refused(run("export", "--num-classes", 5, "--weights", path), "10 classes", "5")


def test_nan_weights_are_named(tmp_path: Path) -> None:
    weights = state()
    weights["layer2.0.conv1.weight"][0, 0, 0, 0] = float("nan")
    torch.save(weights, tmp_path / "nan.pth")
    refused(run("export", "--weights", tmp_path / "nan.pth"), "layer2.0.conv1.weight", "NaN")


def test_bad_options(tmp_path: Path) -> None:
    refused(run("export", "--depth", 19), "no ResNet has depth 19")
    refused(run("export", "--depth", 8, "--opset", 5), "--opset 5")
    refused(run("export", "--depth", 8, "--target-ort", "new"), "--target-ort")
    refused(run("export", "--depth", 8, "--licence", "my own"), "not an SPDX expression")
    refused(run("export", "--depth", 8, "--name", "../evil"), "--name")
    refused(run("export", "--depth", 8, "--std", "0,1,1"), "--std must be positive")
    refused(run("export", "--model", "nothing_here:f"), "nothing_here")
    assert run("export", "--depth", 8, "--mean", "1,2").exit_code == 2
    refused(run("export"), "--depth")


@pytest.mark.parametrize("verb", ["quantize", "verify", "evaluate", "predict", "bench", "summary"])
def test_files_that_are_no_onnx_model(verb: str, tmp_path: Path, tiny_export: Path) -> None:
    image = tmp_path / "cat.jpg"
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(image)
    (tmp_path / "cut.onnx").write_bytes((tiny_export / "resnet8.onnx").read_bytes()[:1000])
    (tmp_path / "empty.onnx").write_bytes(b"")
    more = {"evaluate": ("--data", tmp_path), "predict": (image,)}.get(verb, ())
    for name in ("none.onnx", "cut.onnx", "empty.onnx", "cat.jpg"):
        refused(run(verb, tmp_path / name, *more), name)
    refused(run(verb, tmp_path, *more), str(tmp_path))


@pytest.mark.parametrize("option", ["--calibration", "--data"])
def test_bad_images(option: str, tmp_path: Path, tiny_export: Path) -> None:
    def call(path: Path) -> Result:
        if option == "--data":
            return run("verify", tiny_export / "resnet8.onnx", option, path)
        out = tmp_path / "out.onnx"
        result = run("quantize", tiny_export / "resnet8.onnx", option, path, "-o", out)
        assert not out.exists()
        return result

    refused(call(tmp_path / "none"), "none")
    (tmp_path / "empty").mkdir()
    refused(call(tmp_path / "empty"), "empty")
    (tmp_path / "broken" / "cat").mkdir(parents=True)
    (tmp_path / "broken" / "cat" / "1.jpg").write_bytes(b"\xff\xd8 no picture")
    refused(call(tmp_path / "broken"), "1.jpg")
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04")
    refused(call(tmp_path / "bad.npz"), "bad.npz")


def test_a_model_against_itself(tiny_export: Path) -> None:
    path = tiny_export / "resnet8.onnx"
    refused(run("verify", path, "--against", path), "equals itself")


def test_a_model_of_another_network(tiny_export: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    assert (
        run(
            "export",
            "--depth",
            8,
            "--num-classes",
            3,
            "--no-int8",
            "-o",
            tmp_path,
            "--name",
            "other",
        ).exit_code
        == 0
    )
    refused(run("verify", tiny_export / "resnet8.onnx", "--against", other), "same network")


def test_nan_weights_in_an_onnx_file(tiny_export: Path, tmp_path: Path) -> None:
    model = onnx.load(tiny_export / "resnet8.onnx")
    for tensor in model.graph.initializer:
        if tensor.name == "conv1.weight":
            array = onnx.numpy_helper.to_array(tensor).copy()
            array[0] = np.nan
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    onnx.save(model, tmp_path / "nan.onnx")
    refused(run("quantize", tmp_path / "nan.onnx"), "NaN")
    assert not (tmp_path / "nan.int8.onnx").exists()


def test_json_does_not_replace_another_file(tiny_export: Path, tmp_path: Path) -> None:
    precious = tmp_path / "notes.txt"
    precious.write_text("precious")
    refused(run("summary", tiny_export / "resnet8.onnx", "--json", precious), "not a JSON file")
    assert precious.read_text() == "precious"


def test_a_json_target_is_checked_before_the_work(tmp_path: Path) -> None:
    precious = tmp_path / "notes.txt"
    precious.write_text("precious")
    refused(run("export", "--depth", 8, "-o", tmp_path / "out", "--json", precious), "not a JSON")
    assert not (tmp_path / "out").exists()


def test_factories_without_usable_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def nan():\n"
        "    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())\n"
        "    net[0].weight.data[0] = float('nan')\n"
        "    return net\n"
        "def meta():\n"
        "    with torch.device('meta'):\n"
        "        return nn.Sequential(nn.Flatten(), nn.Linear(3072, 4))\n"
    )
    monkeypatch.chdir(tmp_path)
    refused(run("export", "--model", "broken:nan", "--image-size", 32), "0.weight", "NaN")
    refused(run("export", "--model", "broken:meta", "--image-size", 32), "meta device")


def test_verbosity(tiny_export: Path, tmp_path: Path) -> None:
    def stderr(*options: str) -> str:
        file = str(tiny_export / "resnet8.onnx")
        done = run_forked("quantize", *options, file, "-o", str(tmp_path), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stderr

    assert stderr() == ""
    assert "before int8" in stderr("-v")
    assert stderr("-q") == ""


def test_layers_of_a_foreign_file_are_compared_by_name(tmp_path: Path) -> None:
    text = """
    g (float[N,3,8,8] x) => (float[N,4] y) {
      a = Conv<kernel_shape=[3,3]>(x, conv1.weight)
      r = Relu(a)
      p = GlobalAveragePool(r)
      f = Flatten(p)
      y = Gemm<transB=1>(f, fc.weight)
    }
    """
    model = tmp_path / "theirs.onnx"
    onnx.save(parse(text, {"conv1.weight": noise(8, 3, 3, 3), "fc.weight": noise(4, 8)}), model)
    assert run("quantize", model).exit_code == 0
    int8 = tmp_path / "theirs.int8.onnx"
    result = run("verify", int8, "--against", model, "--per-layer", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["layers"][0]["name"] == "conv1"


def test_an_int8_file_of_another_net_is_not_benched(tiny_export: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_export / "resnet8.int8.onnx", tmp_path)
    made = run("export", "--depth", 8, "--seed", 5, "--no-int8", "--no-simplify", "-o", tmp_path)
    assert made.exit_code == 0
    refused(run("bench", tmp_path / "resnet8.onnx"), "was not made from")


def test_a_recorded_file_is_still_what_its_int8_file_is_made_from(
    tiny_export: Path, tmp_path: Path
) -> None:
    for name in ("resnet8.onnx", "resnet8.int8.onnx"):
        shutil.copy(tiny_export / name, tmp_path)
    fp32 = load(tmp_path / "resnet8.onnx")
    write(recorded(fp32, lambda card: card.with_isas(["arm64"])), fp32.path)
    assert [one.path.name for one in open_models([fp32.path])] == [
        "resnet8.onnx",
        "resnet8.int8.onnx",
    ]
    made = run("quantize", fp32.path, "--no-verify", "-o", tmp_path / "again.onnx")
    assert made.exit_code == 0, made.output
    card = load(tmp_path / "again.onnx").card
    assert card is not None
    assert card.steps[-1].options["fp32_sha256"] == fp32.sha256
    assert card.proven_isas == ()


def test_the_licence_goes_along_and_old_runtimes_are_kept_in_mind(tmp_path: Path) -> None:
    options = ("--licence", "MIT OR 0BSD", "--input", "uint8-nhwc", "--target-ort", "1.12")
    fast = ("--no-simplify", "--no-verify")
    assert run("export", "--depth", 8, "-o", tmp_path, *options, *fast).exit_code == 0
    for name in ("resnet8.onnx", "resnet8.int8.onnx"):
        card = load(tmp_path / name).card
        assert card is not None
        assert (card.licence, card.min_onnxruntime) == ("MIT OR 0BSD", "1.12")


def test_small_pictures_at_the_end_of_a_deep_net(tmp_path: Path) -> None:
    result = run(
        "export", "--depth", 18, "--image-size", 32, "-o", tmp_path, "--no-simplify", "--no-verify"
    )
    assert result.exit_code == 0, result.output
