"""``verify --isa`` as a user calls it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from resnet_deploy import verify_isa
from resnet_deploy.cli.main import cli


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


@pytest.mark.parametrize(
    ("options", "said"),
    [
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
    monkeypatch.setattr("resnet_deploy.runtime.isa_tools.machine", lambda: "x86_64")
    monkeypatch.setattr("sys.platform", "linux")
    done = run(tiny_export / "resnet8.onnx", "--isa", "x86-avx2")
    assert done.exit_code == 3
    assert done.stderr.strip().endswith("resnet-deploy doctor --fetch-isa-tools")
