from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from resnet_deploy.cli.main import cli
from resnet_deploy.spec import BundleTarget


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["bundle", *map(str, arguments)])


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("target", [target.value for target in BundleTarget])
def test_same_input_same_bytes_and_a_true_manifest(tiny_export, tmp_path, target):
    model = tiny_export / "resnet8.int8.onnx"
    for name in ("one", "two"):
        result = _run(model, "--target", target, "-o", tmp_path / name)
        assert result.exit_code == 0, result.output
    one = _files(tmp_path / "one")
    assert one == _files(tmp_path / "two")
    manifest = json.loads(one.pop("manifest.json"))
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in one.items()}
    assert manifest["files"] == digests
    assert manifest["networks"][0]["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert manifest["networks"][0]["card"]["model"]["depth"] == 8
    assert manifest["target"] == target
    assert "README.md" in digests
    assert str(tmp_path) not in "".join(
        data.decode(errors="replace")
        for name, data in one.items()
        if name.endswith((".md", ".txt"))
    )


def test_json_names_what_was_written(tiny_export, tmp_path):
    result = _run(tiny_export / "resnet8.onnx", "--target", "cpp", "-o", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["target"] == "cpp"
    assert set(report["sizes"]) == set(_files(tmp_path / "out"))
    assert report["commands"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.onnx"], "none.onnx does not exist"),
        (["{tiny}/resnet8.onnx", "--data", "nowhere"], "nowhere does not exist"),
        (["{tiny}/resnet8.onnx", "--alternative", "{tiny}/resnet8.int8.onnx"], "not for cpp"),
        (["{tiny}/resnet8.onnx", "-o", "{tiny}"], "holds no bundle"),
    ],
)
def test_bad_input_is_one_line(tiny_export, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    given = [one.format(tiny=tiny_export) for one in arguments]
    out = [] if "-o" in given else ["-o", "out"]
    result = _run(*given, "--target", "cpp", *out)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_alternative_of_another_input_is_refused(tiny_export, output_exports, tmp_path):
    result = _run(
        tiny_export / "resnet8.onnx",
        *("--target", "web", "--alternative", output_exports / "softmax.onnx"),
        *("-o", tmp_path / "out"),
    )
    assert result.exit_code == 2
    assert "has another input or output" in result.stderr


def test_a_full_disk_leaves_the_older_bundle(tiny_export, tmp_path, monkeypatch):
    out = tmp_path / "out"
    model = tiny_export / "resnet8.onnx"
    assert _run(model, "--target", "cpp", "-o", out).exit_code == 0
    before = _files(out)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    result = _run(tiny_export / "resnet8.int8.onnx", "--target", "cpp", "-o", out)
    assert result.exit_code == 2
    assert "No space left" in result.stderr
    assert _files(out) == before
