from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from PIL import Image

from resnet_deploy.artifact.card import Accuracy
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.cli.main import cli
from resnet_deploy.data.datasets import open_dataset
from tests.support.tiny_model import COLOURS, colour_model, save_colour_model


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for colour, seen in zip(COLOURS, ("red", "lime", "red"), strict=True):
        folder = tmp_path / "data" / colour
        folder.mkdir(parents=True)
        for index in range(4):
            Image.new("RGB", (9, 9), seen).save(folder / f"{index}.png")
    return tmp_path / "data"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_colour_model(tmp_path / "model.onnx").path


def test_table(model, data):
    result = CliRunner().invoke(cli, ["evaluate", str(model), "--data", str(data)])
    assert result.exit_code == 0, result.output
    assert "66.67%" in result.stdout
    assert "12 images" in result.stdout
    assert result.stderr == ""


def test_json_alone_on_stdout(model, data, tmp_path):
    other = save_colour_model(tmp_path / "other.onnx", np.eye(3) * 2).path
    arguments = ["evaluate", str(model), "--data", str(data), "--against", str(other), "--json"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["samples"] == 12
    assert content["top1"] == pytest.approx(2 / 3)
    assert content["top5"] == 1.0
    assert content["against"]["top1"] == pytest.approx(2 / 3)
    assert content["against"]["agreement"] == 1.0
    assert content["against"]["sqnr_db"] == pytest.approx(20 * np.log10(2), abs=1e-3)
    assert content["environment"]["command"].startswith("resnet-deploy")


def test_json_file_and_limit(model, data, tmp_path):
    target = tmp_path / "result.json"
    arguments = [str(model), "--data", str(data), "--limit", "6", "--json", str(target)]
    result = CliRunner().invoke(cli, ["evaluate", *arguments])
    assert result.exit_code == 0, result.output
    assert "6 images" in result.stdout
    assert json.loads(target.read_text())["samples"] == 6


def test_record_writes_into_the_card(model, data):
    made = load(model)
    arguments = ["evaluate", str(model), "--data", str(data), "--record"]
    for more in ([], ["--limit", "6"]):
        result = CliRunner().invoke(cli, [*arguments, *more])
        assert result.exit_code == 0, result.output
        artifact = load(model)
        assert artifact.card is not None
        assert artifact.card.accuracy == (
            Accuracy(
                data="data",
                samples=6 if more else 12,
                of=12,
                top1=0.666667,
                top5=1.0,
                data_sha256=open_dataset(data).fingerprint(),
            ),
        )
        assert artifact.made_sha256 == made.sha256 != artifact.sha256
    shown = CliRunner().invoke(cli, ["summary", str(model)])
    assert "accuracy: top-1 66.67%, top-5 100.00% on 6 of the 12 images of data" in shown.stdout


def test_record_needs_a_card(data, tmp_path):
    foreign = tmp_path / "foreign.onnx"
    onnx.save(colour_model(), foreign)
    before = foreign.read_bytes()
    result = CliRunner().invoke(cli, ["evaluate", str(foreign), "--data", str(data), "--record"])
    assert result.exit_code == 2
    assert "foreign.onnx has no card to record in" in result.stderr
    assert foreign.read_bytes() == before


def test_against_says_what_changed(model, data, tmp_path):
    # The other model takes everything for red.
    other = save_colour_model(tmp_path / "other.onnx", np.array([[1, 1, 1], [0] * 3, [0] * 3])).path
    arguments = ["evaluate", str(model), "--data", str(data), "--against", str(other)]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert "top-1 +33.33 points (95 % CI " in result.stdout
    assert "McNemar p = 0.12): not significant" in result.stdout
    assert "changed answers: 4 (4 newly right, 0 newly wrong, 0 wrong in another way)" in (
        result.stdout
    )
    changes = result.stdout.partition("most frequent changes of the answer")[2]
    assert ["green", "red", "green", "4"] in [line.split() for line in changes.splitlines()]


def test_skip_bad(model, data, tmp_path):
    (data / "red/4.png").write_bytes(b"broken")
    target = tmp_path / "result.json"
    arguments = ["evaluate", str(model), "--data", str(data), "--json", str(target)]
    stopped = CliRunner().invoke(cli, arguments)
    assert stopped.exit_code == 2
    assert "red/4.png" in stopped.stderr
    result = CliRunner().invoke(cli, [*arguments, "--skip-bad"])
    assert result.exit_code == 0, result.output
    assert "1 image left out, as they can't be read: red/4.png" in result.stdout
    assert json.loads(target.read_text())["skipped"] == ["red/4.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.onnx", "--data", "data"], "missing.onnx does not exist"),
        (["model.onnx", "--data", "missing"], "missing does not exist"),
        (["model.onnx", "--data", "data/red"], "has no labels"),
        (["model.onnx", "--data", "model.onnx"], "is not a dataset"),
        (["model.onnx", "--data", "data", "--against", "data/red/0.png"], "not an ONNX file"),
    ],
)
def test_bad_input_is_one_line(model, data, monkeypatch, arguments, message):
    monkeypatch.chdir(model.parent)
    result = CliRunner().invoke(cli, ["evaluate", *arguments])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("resnet-deploy: error: ")
    assert message in result.stderr


@pytest.fixture
def flat(data: Path, tmp_path: Path) -> Path:
    """The same images in one folder, and what they are in ``truth.csv`` outside of it."""
    root, rows = tmp_path / "flat", ["file_name,label"]
    root.mkdir()
    for image in sorted(data.rglob("*.png")):
        name = f"{image.parent.name}-{image.name}"
        image.rename(root / name)
        rows.append(f"{name},{image.parent.name}")
    (tmp_path / "truth.csv").write_text("\n".join(rows))
    return root


def test_labels_in_a_file(model, flat, tmp_path):
    arguments = ["evaluate", str(model), "--data", str(flat)]
    refused = CliRunner().invoke(cli, arguments)
    assert refused.exit_code == 2
    assert "--labels-file" in refused.stderr
    labels = ["--labels-file", str(tmp_path / "truth.csv"), "--record"]
    result = CliRunner().invoke(cli, [*arguments, *labels])
    assert result.exit_code == 0, result.output
    assert "66.67%" in result.stdout
    card = load(model).card
    assert card is not None
    assert card.accuracy[0].samples == 12
    (tmp_path / "truth.csv").rename(flat / "metadata.csv")
    found = CliRunner().invoke(cli, arguments)
    assert found.exit_code == 0, found.output
    assert "66.67%" in found.stdout


def test_numbered_folders_are_outputs(model, data):
    for name, number in zip(COLOURS, ("0", "1", "2"), strict=True):
        (data / name).rename(data / number)
    result = CliRunner().invoke(cli, ["evaluate", str(model), "--data", str(data)])
    assert result.exit_code == 0, result.output
    assert "66.67%" in result.stdout


def test_links_are_followed_when_asked_to(model, data, tmp_path):
    (data / "red").rename(tmp_path / "elsewhere")
    (data / "red").symlink_to(tmp_path / "elsewhere")
    arguments = ["evaluate", str(model), "--data", str(data)]
    refused = CliRunner().invoke(cli, arguments)
    assert refused.exit_code == 2
    assert "--follow-links" in refused.stderr
    result = CliRunner().invoke(cli, [*arguments, "--follow-links"])
    assert result.exit_code == 0, result.output
    assert "12 images" in result.stdout


def test_a_class_of_which_nothing_can_be_read_is_named(model, data, caplog):
    caplog.set_level(logging.WARNING, logger="resnet_deploy")
    for image in (data / "red").iterdir():
        image.write_bytes(b"broken")
    arguments = ["evaluate", str(model), "--data", str(data), "--skip-bad"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert "not one image of class red can be read" in caplog.messages


def test_parquet_without_pyarrow_ends_with_3(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1" + bytes(20) + b"\x14\0\0\0PAR1")
    result = CliRunner().invoke(
        cli, ["evaluate", str(model), "--data", str(tmp_path / "a.parquet")]
    )
    assert result.exit_code == 3
    assert result.stderr.count("\n") == 1
    assert "pip install 'resnet-deploy[data]'" in result.stderr
