from __future__ import annotations

import json

from click.testing import CliRunner

from resnet_deploy.cli.main import cli
from resnet_deploy.errors import MissingDependencyError


def test_doctor_in_one_screen():
    done = CliRunner().invoke(cli, ["doctor"])
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    for word in ("core", "GB free", "int8: ", "runners: ", "ort", "missing", "doctor -v"):
        assert word in done.output


def test_doctor_with_all_details():
    done = CliRunner().invoke(cli, ["doctor", "-v"])
    assert done.exit_code == 0
    for word in ("CPU", "int8", "cores to use", "memory", "onnxruntime", "CPUExecutionProvider"):
        assert word in done.output


def test_doctor_as_json():
    done = CliRunner().invoke(cli, ["doctor", "--json"])
    assert done.exit_code == 0
    data = json.loads(done.stdout)
    assert data["environment"]["cores"] >= 1
    assert isinstance(data["int8"], str)


def test_tools_are_fetched_first(monkeypatch):
    fetched: list[object] = []
    monkeypatch.setattr("resnet_deploy.isa.tools.fetch_tools", fetched.append)
    assert CliRunner().invoke(cli, ["doctor", "--fetch-isa-tools"]).exit_code == 0
    assert len(fetched) == 1


def test_tools_that_can_not_be_fetched(monkeypatch):
    def fail(progress: object) -> None:
        raise MissingDependencyError("no network: connect, then try again")

    monkeypatch.setattr("resnet_deploy.isa.tools.fetch_tools", fail)
    done = CliRunner().invoke(cli, ["doctor", "--fetch-isa-tools"])
    assert done.exit_code == 3
    assert done.stderr.strip() == "resnet-deploy: error: no network: connect, then try again"
