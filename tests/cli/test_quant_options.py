"""The options of calibration, and what ``quantize`` says to images that it can't calibrate on."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.cli.main import cli
from resnet_deploy.errors import SpecError
from resnet_deploy.quantization import static
from resnet_deploy.quantization.calibrate import CalibrationCache
from resnet_deploy.spec import FirstConv, InputContract, QuantSpec, ResidualStream
from resnet_deploy.spec.deploy import DeploySpec
from tests.support.cli import run


def parsed(*arguments: str) -> QuantSpec:
    """Return what ``quantize`` would be done with."""
    seen: list[QuantSpec] = []

    def look(source: object, spec: DeploySpec, **_: object) -> None:
        seen.append(spec.quant)
        raise SpecError("seen")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("resnet_deploy.deployment.deploy.deploy", look)
        opened = SimpleNamespace(assumed_kind=False, notices=(), preprocess=InputContract())
        patch.setattr("resnet_deploy.artifact.told.as_told", lambda given, told: given)
        patch.setattr("resnet_deploy.artifact.onnx_file.load", lambda path, told: opened)
        assert run("quantize", "net.onnx", *arguments).exit_code == 2
    return seen[0]


def test_the_cache_lies_in_the_users_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESNET_DEPLOY_CACHE", str(tmp_path / "own"))
    assert parsed().calibration_cache == tmp_path / "own/calibration"
    monkeypatch.delenv("RESNET_DEPLOY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert parsed().calibration_cache == tmp_path / "xdg/resnet-deploy/calibration"
    assert parsed("--calibration-cache", "here").calibration_cache == Path("here")
    assert parsed("--no-calibration-cache").calibration_cache is None


def test_first_conv_is_in_the_card(tiny_export: Path, tmp_path: Path) -> None:
    assert parsed().first_conv is FirstConv.AUTO
    assert parsed("--first-conv", "plain").first_conv is FirstConv.PLAIN
    out = tmp_path / "plain.int8.onnx"
    done = quantize(tiny_export / "resnet8.onnx", "--first-conv", "plain", "--no-verify", "-o", out)
    assert done.exit_code == 0, done.output
    card = load(out).card
    assert card is not None
    assert card.steps[-1].options["first_conv"] == "plain"


def test_a_float_residual_stream_is_in_the_card(tiny_export: Path, tmp_path: Path) -> None:
    assert parsed().residual_stream is ResidualStream.UINT8
    given = ("--residual-stream", "float32")
    assert parsed(*given).residual_stream is ResidualStream.FLOAT32
    out = tmp_path / "float.int8.onnx"
    done = quantize(tiny_export / "resnet8.onnx", *given, "--keep-slow", "-o", out)
    assert done.exit_code == 0, done.output
    card = load(out).card
    assert card is not None
    options = next(step.options for step in card.steps if step.name == "quantize")
    assert (options["residual_stream"], options["runtime"]) == ("float32", "ort")


def test_a_file_for_openvino_is_checked_and_timed_there(
    tiny_export: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("openvino")
    out = tmp_path / "openvino.int8.onnx"
    given = ("--residual-stream", "float32", "--runtime", "openvino", "--keep-slow", "-o", out)
    done = quantize(tiny_export / "resnet8.onnx", *given)
    assert done.exit_code == 0, done.output
    assert "int8 in OpenVINO: PASS" in done.output
    assert "with OpenVINO" in done.output
    picture = next(pictures(tmp_path / "pictures", 1).iterdir())
    assert CliRunner().invoke(cli, ["predict", str(out), str(picture)]).exit_code == 0
    assert "is laid out for OpenVINO" in caplog.text


def test_workers() -> None:
    assert parsed().workers == 1
    assert parsed("--workers", "3").workers == 3


def quantize(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["quantize", *(str(argument) for argument in arguments)])


def pictures(folder: Path, count: int = 12) -> Path:
    folder.mkdir()
    for index in range(count):
        pixels = np.random.default_rng(index).integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:02}.png")
    return folder


def test_workers_and_cache_change_no_byte(
    tiny_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def eager(folder: Path) -> CalibrationCache:
        return CalibrationCache(folder=folder, worthwhile_seconds=0)

    monkeypatch.setattr(static, "CalibrationCache", eager)
    images = pictures(tmp_path / "images")
    cache = tmp_path / "cache"
    made = []
    runs: list[list[object]] = [
        ["--no-calibration-cache"],
        ["--calibration-cache", cache, "--workers", 2],
        ["--calibration-cache", cache],
    ]
    for number, options in enumerate(runs):
        out = tmp_path / f"{number}.int8.onnx"
        model = tiny_export / "resnet8.onnx"
        result = quantize(model, "--calibration", images, "-o", out, "--no-verify", *options)
        assert result.exit_code == 0, result.output
        made.append(out.read_bytes())
    assert made[0] == made[1] == made[2]
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize(
    ("damage", "says"),
    [("empty", "holds no images"), ("unreadable", "cannot read image"), ("gone", "does not exist")],
)
@pytest.mark.parametrize("workers", [1, 2])
def test_bad_images_are_one_line(
    damage: str, says: str, workers: int, tiny_export: Path, tmp_path: Path
) -> None:
    images = pictures(tmp_path / "images")
    if damage == "empty":
        shutil.rmtree(images)
        images.mkdir()
    if damage == "unreadable":
        (images / "05.png").write_bytes(b"no picture")
    if damage == "gone":
        shutil.rmtree(images)
    out = tmp_path / "out.onnx"
    result = quantize(
        tiny_export / "resnet8.onnx", "--calibration", images, "-o", out, "--workers", workers
    )
    assert result.exit_code == 2
    message = result.stderr.strip()
    assert message.startswith("resnet-deploy: error: ")
    assert says in message
    assert "\n" not in message
    assert not out.exists()


@pytest.mark.parametrize("option", [("--workers", "0"), ("--calibration-cache", __file__)])
def test_bad_options(option: tuple[str, str], tiny_export: Path) -> None:
    result = quantize(tiny_export / "resnet8.onnx", *option)
    assert result.exit_code == 2
    assert option[0] in result.stderr
