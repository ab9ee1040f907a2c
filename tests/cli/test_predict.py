from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from resnet_deploy.cli.main import cli
from tests.support.tiny_model import save_colour_model


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos/deep").mkdir(parents=True)
    Image.new("RGB", (30, 20), "blue").save(tmp_path / "photos/deep/sea.jpg")
    Image.new("RGB", (30, 20), "red").save(tmp_path / "photos/fire.png")
    Image.new("L", (20, 20), 90).save(tmp_path / "fog.png")
    return save_colour_model(tmp_path / "model.onnx").path


def test_table_of_files_and_folders(model):
    result = CliRunner().invoke(cli, ["predict", "model.onnx", "photos", "fog.png"])
    assert result.exit_code == 0, result.output
    rows = [row for row in result.stdout.splitlines() if "." in row and "%" in row]
    first = [row for row in rows if any(name in row for name in ("sea", "fire", "fog"))]
    assert ["blue" in first[0], "red" in first[1], "red" in first[2]] == [True] * 3
    assert len(rows) == 9


def test_json(model):
    arguments = ["predict", "model.onnx", "photos/fire.png", "--top-k", "2", "--json"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["model"] == "model.onnx"
    (prediction,) = content["predictions"]
    assert prediction["image"] == "photos/fire.png"
    assert [each["label"] for each in prediction["classes"]] == ["red", "green"]
    assert prediction["classes"][0]["probability"] > 0.5


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (["fog.png", "none.png"], "none.png does not exist"),
        (["fog.png", "model.onnx"], "cannot read image model.onnx"),
        (["empty"], "empty holds no images"),
    ],
)
def test_one_bad_image_refuses_all(model, images, message):
    Path("empty").mkdir()
    result = CliRunner().invoke(cli, ["predict", "model.onnx", *images])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert message in result.stderr


def test_works_without_torch(model):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from resnet_deploy.cli.main import main\n"
        "sys.argv = ['resnet-deploy', 'predict', 'model.onnx', 'fog.png']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_pillow_logs_of_a_bad_image_is_not_repeated(model, tmp_path):
    Image.new("RGB", (5, 5)).save(tmp_path / "odd.tif")
    data = bytearray((tmp_path / "odd.tif").read_bytes())
    place = data.index(struct.pack("<HHI", 277, 3, 1)) + 8  # SamplesPerPixel
    data[place : place + 2] = struct.pack("<H", 2048)
    (tmp_path / "odd.tif").write_bytes(data)
    command = [sys.executable, "-m", "resnet_deploy", "predict", "model.onnx", "odd.tif"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("resnet-deploy: error: cannot read image odd.tif")
    assert done.stderr.count("\n") == 1
