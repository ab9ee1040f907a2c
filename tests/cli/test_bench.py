from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from resnet_deploy.cli.main import cli
from resnet_deploy.dependencies import INSTALL
from tests.support.runner_graphs import cnn, quantized_cnn

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
    assert [result["spec"]["batch_size"] for result in results] == [1, 2]
    assert "batch size 2" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.onnx"], "missing.onnx does not exist"),
        (["text.onnx"], "text.onnx"),
        (["fixed.onnx", "--batch-size", "3"], "fixed to batch size 4"),
        (["any.onnx", "--runner", "tvm"], "choose from torch, "),
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
    assert INSTALL in asked.stderr
    default = CliRunner().invoke(cli, ["bench", model, *QUICK])
    assert default.exit_code == 0, default.output
    assert "skipped PyTorch fp32: the torch runner needs PyTorch" in default.output


def test_a_sweep_ends_with_one_table(tmp_path: Path):
    model = str(cnn(tmp_path / "net.onnx"))
    sweep = ["--batch-size", "1", "--batch-size", "2", "--runner", "ort"]
    done = CliRunner().invoke(cli, ["bench", model, *QUICK, *sweep])
    assert done.exit_code == 0, done.output
    assert "All together" in done.output
    assert "most images per second" in done.output


def test_throughput_pinned_profiled_and_started_cold(tmp_path: Path):
    model = str(cnn(tmp_path / "net.onnx"))
    flags = ["--runner", "ort", "--throughput", "--instances", "1", "--pin", "--profile"]
    flags += ["--cold-start", "2", "--session-option", "session.intra_op.allow_spinning=0"]
    done = CliRunner().invoke(
        cli, ["bench", model, *QUICK, *flags, "--json", str(tmp_path / "r.json")]
    )
    assert done.exit_code == 0, done.output
    for text in ("throughput of 1 instance x 1 thread", "pinned to CPUs", "time by operator"):
        assert text in done.output
    result = json.loads((tmp_path / "r.json").read_text())
    assert len(result["subjects"][0]["cold_starts"]) == 2
    assert len(result["subjects"][0]["images_per_slice"]) == 6
    options = result["subjects"][0]["subject"]["session_options"]
    assert options == [["session.intra_op.allow_spinning", "0"]]
    assert result["profiles"][0]["operators"][0]["module"]


def test_compare_is_a_gate(tmp_path: Path):
    model = str(cnn(tmp_path / "net.onnx"))
    old = tmp_path / "old.json"
    done = CliRunner().invoke(cli, ["bench", model, *QUICK, "--runner", "ort", "--json", str(old)])
    assert done.exit_code == 0, done.output
    same = CliRunner().invoke(cli, ["bench", "--compare", str(old), str(old)])
    assert same.exit_code == 0, same.output

    slower = json.loads(old.read_text())
    for subject in slower["subjects"]:
        subject["rounds_ns"] = [[10 * ns for ns in runs] for runs in subject["rounds_ns"]]
    new = tmp_path / "new.json"
    new.write_text(json.dumps(slower))
    flags = ["--max-regress", "50%"]
    gate = CliRunner().invoke(cli, ["bench", "--compare", str(old), str(new), *flags])
    assert gate.exit_code == 1
    assert "slower by more than 50 % beyond doubt: ONNX Runtime fp32" in gate.output
    gate = CliRunner().invoke(cli, ["bench", "--compare", str(old), str(new), "--json"])
    assert json.loads(gate.stdout)["passed"] is False


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--compare", "a.json", "b.json", "m.onnx"],
        ["--compare", "a.json", "b.json", "--max-regress", "5"],
        ["--compare", "a.json", "b.json"],
        ["m.onnx", "--relative-to", "PyTorch fp32"],
        ["m.onnx", "--precision", "0%"],
        ["m.onnx", "--instances", "2"],
        ["m.onnx", "--session-option", "spin"],
        ["m.onnx", "--runner", "torch", "--profile"],
    ],
)
def test_bad_usage_exits_2(arguments, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cnn(tmp_path / "m.onnx")
    done = CliRunner().invoke(cli, ["bench", *arguments])
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
