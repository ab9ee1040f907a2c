from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from resnet_deploy.cli.main import cli
from tests.runtime.graphs import cnn, quantized_cnn

QUICK = ["--rounds", "6", "--runs", "2", "--threads", "1"]


def test_the_default_table(tmp_path: Path):
    cnn(tmp_path / "net.onnx")
    done = CliRunner().invoke(cli, ["bench", str(tmp_path / "net.onnx"), *QUICK])
    assert done.exit_code == 0, done.output
    assert "PyTorch fp32" in done.output
    assert "ONNX Runtime fp32" in done.output
    assert "batch size 1, 1 thread" in done.output
    assert "…" not in done.output


def test_json_alone_on_stdout_for_each_configuration(tmp_path: Path):
    cnn(tmp_path / "net.onnx")
    quantized_cnn(tmp_path / "net.int8.onnx")
    base = ["bench", str(tmp_path / "net.onnx"), *QUICK, "--runner", "ort", "--json"]
    done = CliRunner().invoke(cli, base)
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert [s["subject"]["precision"] for s in result["subjects"]] == ["fp32", "int8"]
    assert result["environment"]["command"].startswith("resnet-deploy")

    done = CliRunner().invoke(
        cli, [*base, str(tmp_path / "r.json"), *["--batch-size", "1"], *["--batch-size", "2"]]
    )
    assert done.exit_code == 0, done.output
    results = json.loads((tmp_path / "r.json").read_text())["results"]
    assert [one["spec"]["batch_size"] for one in results] == [1, 2]
    assert "batch size 2" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.onnx"], "missing.onnx does not exist"),
        (["text.onnx"], "text.onnx"),
        (["fixed.onnx", "--batch-size", "3"], "fixed to batch size 4"),
        (["any.onnx", "--runner", "tvm"], "choose from torch, ort"),
    ],
)
def test_bad_input_is_one_line(arguments, message, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cnn(tmp_path / "fixed.onnx", batch=4)
    cnn(tmp_path / "any.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    done = CliRunner().invoke(cli, ["bench", *arguments])
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.startswith("resnet-deploy: error: ")
    assert done.stderr.count("\n") == 1


def test_torch_asked_for_by_name_but_missing_exits_3(tmp_path: Path, monkeypatch):
    # A module called torch that can't be imported, in front of the real one.
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    model = str(cnn(tmp_path / "m.onnx"))
    asked = CliRunner().invoke(cli, ["bench", model, *QUICK, "--runner", "torch"])
    assert asked.exit_code == 3
    assert "pip install 'resnet-deploy[export]'" in asked.stderr
    default = CliRunner().invoke(cli, ["bench", model, *QUICK])
    assert default.exit_code == 0, default.output
    assert "skipped PyTorch fp32: the torch runner needs PyTorch" in default.output
