"""Files that take bytes: made, proven against floats, and used by every verb."""

from __future__ import annotations

import json
import platform
import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.cli.main import cli
from resnet_deploy.data.formats import convert
from resnet_deploy.data.synthetic import synthetic_images
from resnet_deploy.rewrites.resize_front import without_front
from resnet_deploy.runners.base import infer_any
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import InputFormat, SessionSpec


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures in two classes, of several sizes."""
    folder = tmp_path_factory.mktemp("images")
    for number, pixels in enumerate(synthetic_images(12, 64, 5)):
        target = folder / str(number % 2) / f"{number}.png"
        target.parent.mkdir(exist_ok=True)
        size = (40 + 5 * number, 50 + 3 * number)
        Image.fromarray(pixels).resize(size).save(target)
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Path:
    """The same ResNet-8 for floats, for bytes, and for whole pictures."""
    out = tmp_path_factory.mktemp("formats")
    common = ("export", "--depth", 8, "--num-classes", 2, "--calibration", images)
    found = call(*common, "-o", out / "float")
    assert found.exit_code == 0, found.output
    found = call(*common, "--input", "uint8-nhwc", "-o", out / "bytes")
    assert found.exit_code == 0, found.output
    resize = ("--resize", 40, "--resize-in-graph")
    found = call(*common, "--input", "uint8-nhwc", *resize, "-o", out / "pictures")
    assert found.exit_code == 0, found.output
    assert "grey level off Pillow on 19 images" in found.output
    return out


def logits(path: Path, batch: np.ndarray) -> np.ndarray:
    return infer_any(OrtRunner(path, SessionSpec(threads=1)), batch)


def test_bytes_give_the_logits_of_normalised_floats(exported: Path) -> None:
    floats, bytes_ = (load(exported / name / "resnet8.onnx") for name in ("float", "bytes"))
    pixels = synthetic_images(3, 32, 9)

    x = convert(pixels, bytes_.preprocess, floats.preprocess)

    expected = logits(floats.path, x)
    assert np.abs(logits(bytes_.path, pixels) - expected).max() <= 1e-5 * np.abs(expected).max()
    assert bytes_.input.dtype == "uint8"
    assert bytes_.input.shape == (None, 32, 32, 3)


def test_int8_over_bytes_is_as_close_as_over_floats(exported: Path) -> None:
    pixels = synthetic_images(64, 32, 9)
    noises = []
    for name in ("float", "bytes"):
        fp32 = load(exported / name / "resnet8.onnx")
        x = convert(pixels, load(exported / "bytes/resnet8.onnx").preprocess, fp32.preprocess)
        int8 = logits(exported / name / "resnet8.int8.onnx", x)
        noises.append(np.square(int8 - logits(fp32.path, x)).sum())
    assert noises[1] <= 1.3 * noises[0]  # 1.1 dB: untrained, 12 calibration images


def test_a_float_file_is_quantized_for_bytes(exported: Path, images: Path, tmp_path: Path) -> None:
    for wanted in ("uint8-nhwc", "uint8-nchw"):
        out = tmp_path / f"{wanted}.int8.onnx"
        source = exported / "float/resnet8.onnx"
        done = call("quantize", source, "--input", wanted, "--calibration", images, "-o", out)
        assert done.exit_code == 0, done.output
        assert load(out).preprocess.format is InputFormat(wanted)
    same = tmp_path / "uint8-nhwc.int8.onnx"
    pixels = synthetic_images(4, 32, 9)
    direct = exported / "bytes/resnet8.int8.onnx"
    assert (logits(same, pixels) == logits(direct, pixels)).all()


def test_openvino_has_int8_kernels_for_all_layers_over_bytes(exported: Path) -> None:
    pytest.importorskip("openvino")
    if platform.machine() != "x86_64":
        pytest.skip("OpenVINO names its int8 kernels so on x86 only")
    from resnet_deploy.runners.openvino_runner import OpenVinoRunner

    with closing(OpenVinoRunner(exported / "bytes/resnet8.int8.onnx")) as runner:
        graph = runner._request.get_compiled_model().get_runtime_model()
        facts = [node.get_rt_info() for node in graph.get_ordered_ops()]
        kernels = [
            str(fact["primitiveType"].value)
            for fact in facts
            if str(fact["layerType"].value) == "Convolution"
        ]
    assert len(kernels) == 9
    assert all(kernel.lower().endswith("i8") for kernel in kernels), kernels


def test_every_verb_takes_a_file_over_bytes(exported: Path, images: Path, tmp_path: Path) -> None:
    int8 = exported / "bytes/resnet8.int8.onnx"
    floats = exported / "float/resnet8.onnx"
    for command in (
        ("verify", int8, "--per-layer", "--data", images),
        ("verify", exported / "bytes/resnet8.onnx", "--against", floats),
        ("evaluate", int8, "--data", images, "--against", floats),
        ("predict", int8, images / "0"),
        ("summary", int8),
        ("bench", floats, int8, "--runner", "ort", "--time-limit", 2, "--json", tmp_path / "b"),
    ):
        done = call(*command)
        assert done.exit_code == 0, (command, done.output)
    measured = json.loads((tmp_path / "b").read_text())["subjects"][1]
    assert measured["logits"]["sqnr_db"] > 15, "both saw the same pictures"


def test_a_file_that_resizes_takes_pictures_of_any_size(
    exported: Path, images: Path, tmp_path: Path
) -> None:
    int8 = exported / "pictures/resnet8.int8.onnx"
    assert load(int8).input.shape == (None, None, None, 3)
    for command in (
        ("evaluate", int8, "--data", images, "--against", exported / "pictures/resnet8.onnx"),
        ("predict", int8, images / "0"),
        ("summary", int8),
        ("bench", exported / "pictures/resnet8.onnx", "--runner", "ort", "--time-limit", 2),
    ):
        done = call(*command)
        assert done.exit_code == 0, (command, done.output)
    core = [node.op_type for node in without_front(read_model(int8)).graph.node]
    assert core.count("Conv") == 9
    assert "Resize" not in core


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("verify", "pictures/resnet8.onnx"), "verify the one that export writes without"),
        (("quantize", "pictures/resnet8.onnx"), "without --resize-in-graph"),
        (("quantize", "bytes/resnet8.onnx", "--input", "uint8-nchw"), "takes uint8-nhwc already"),
        (("quantize", "float/resnet8.onnx", "--input", "uint8-s2d"), "use --input uint8-nhwc"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    arguments: tuple[str, ...], message: str, exported: Path, tmp_path: Path
) -> None:
    shutil.copytree(exported, tmp_path / "copy")
    verb, file, *rest = arguments
    done = CliRunner().invoke(cli, [verb, str(tmp_path / "copy" / file), *rest])
    assert done.exit_code == 2, done.output
    assert message in done.output + str(done.exception)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--resize-in-graph",), "add --input uint8-nhwc"),
        (("--input", "uint8-nhwc", "--resize-in-graph", "--opset", "17"), "needs opset 18"),
        (("--input", "uint8-s2d"), "stride 2"),
    ],
)
def test_exports_that_cannot_be_write_nothing(
    options: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    done = call("export", "--depth", 8, "-o", tmp_path / "out", *options)
    assert done.exit_code == 2, done.output
    assert message in done.output + str(done.exception)
    assert not list(tmp_path.glob("out/*.onnx"))
