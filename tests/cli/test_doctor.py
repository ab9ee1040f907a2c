from __future__ import annotations

import json

from click.testing import CliRunner

from resnet_deploy.cli.main import cli


def test_doctor_in_words():
    done = CliRunner().invoke(cli, ["doctor"])
    assert done.exit_code == 0
    for word in ("CPU", "int8", "cores to use", "memory", "onnxruntime", "CPUExecutionProvider"):
        assert word in done.output


def test_doctor_as_json():
    done = CliRunner().invoke(cli, ["doctor", "--json"])
    assert done.exit_code == 0
    data = json.loads(done.stdout)
    assert data["environment"]["cores"] >= 1
    assert isinstance(data["int8"], str)
