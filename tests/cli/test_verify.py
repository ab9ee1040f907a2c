"""``verify --isa`` as a user calls it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner, Result

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.cli.main import cli
from resnet_deploy.isa import verify as verify_isa


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["verify", *[str(argument) for argument in arguments]])


def test_on_this_cpu(tiny_export, monkeypatch):
    monkeypatch.setattr(verify_isa, "is_native", lambda isa: isa.name == "arm64")
    done = run(tiny_export / "resnet8.int8.onnx", "--isa", "arm64", "--json")
    assert done.exit_code == 0
    data = json.loads(done.stdout)
    assert data["proven"] == ["arm64"]
    assert data["reference"] == "resnet8.onnx on torch"
    assert data["environment"]["command"].startswith("resnet-deploy")
    failed = run(tiny_export / "resnet8.int8.onnx", "--isa", "arm64", "--min-sqnr", "inf")
    assert failed.exit_code == 0  # equal bits have no noise
    assert "PASS" in failed.output


def test_what_is_proven_goes_into_the_card(tiny_export, tmp_path, monkeypatch):
    shutil.copy(tiny_export / "resnet8.int8.onnx", tmp_path)
    model, data = tmp_path / "resnet8.int8.onnx", tmp_path / "data.npz"
    np.savez(data, images=np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8))
    monkeypatch.setattr(verify_isa, "is_native", lambda isa: True)
    proven = run(model, "--isa", "arm64", "--data", data, "--record")
    assert proven.exit_code == 0, proven.output
    card = load(model).card
    assert card is not None
    assert "arm64" in card.proven_isas
    assert "arm64" in CliRunner().invoke(cli, ["summary", str(model)]).stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--isa", "arm64", "--record"), "add --isa and --data"),
        (("--isa", "arm64,vax"), "there is no ISA 'vax'"),
        (("--isa", "arm64", "--per-layer"), "drop it or --isa"),
    ],
)
def test_bad_requests(tiny_export, options, said):
    done = run(tiny_export / "resnet8.onnx", *options)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "\n" not in done.stderr.strip()


def test_missing_tools(tiny_export, monkeypatch, tmp_path):
    monkeypatch.setenv("RESNET_DEPLOY_CACHE", str(tmp_path))
    monkeypatch.setattr(verify_isa, "is_native", lambda isa: False)
    monkeypatch.setattr("resnet_deploy.isa.tools.machine", lambda: "x86_64")
    monkeypatch.setattr("sys.platform", "linux")
    done = run(tiny_export / "resnet8.onnx", "--isa", "x86-avx2")
    assert done.exit_code == 3
    assert done.stderr.strip().endswith("resnet-deploy doctor --fetch-isa-tools")
