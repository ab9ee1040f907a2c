from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from resnet_deploy.bundles import mobile
from resnet_deploy.bundles.bundling import pack
from resnet_deploy.bundles.ort_format import OrtFormat
from resnet_deploy.errors import RunnerError
from resnet_deploy.spec import BundleTarget


@pytest.fixture(scope="module")
def folder(tiny_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mobile") / "bundle"
    pack(tiny_export / "resnet8.int8.onnx", BundleTarget.MOBILE, folder)
    return folder


def test_both_models_are_known_to_the_core_and_to_the_manifest(folder: Path) -> None:
    contract = (folder / "core/include/resnet/contract.hpp").read_text()
    files = json.loads((folder / "manifest.json").read_text())["files"]
    for name in ("model.onnx", "model.ort"):
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        assert files[name] == digest
        assert f'"{name}", "{digest}"' in contract
    assert b"QLinearConv" in (folder / "required_operators_and_types.config").read_bytes()


def test_the_readme_is_short_and_says_what_was_not_compiled(folder: Path) -> None:
    readme = (folder / "README.md").read_text()
    assert readme.count("\n") < 100
    assert "**Not compiled**" in readme
    assert "It was not measured on a phone" in readme
    assert "takes 0 of the 9 convolutions of this file: leave it off" in readme


def test_java_and_c_agree_on_the_codes(folder: Path) -> None:
    header = (folder / "core/include/resnet_classifier.h").read_text()
    source = "android/src/main/java/resnetdeploy/ResnetClassifier.java"
    java = (folder / source).read_text()
    for name in ("BAD_ARGUMENT", "BAD_IMAGE", "BAD_BUNDLE", "NO_MEMORY"):
        value = header.split(f"RESNET_{name} = ")[1].split()[0].rstrip(",")
        assert f"int {name} = {value};" in java


def test_a_converted_model_that_answers_otherwise_is_refused(
    folder: Path, tiny_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = OrtFormat(model=(folder / "model.ort").read_bytes(), operators=b"")
    monkeypatch.setattr(mobile, "to_ort_format", lambda model: other)
    with pytest.raises(RunnerError, match="own format"):
        pack(tiny_export / "resnet8.onnx", BundleTarget.MOBILE, tmp_path / "out")
    assert not (tmp_path / "out").exists()
