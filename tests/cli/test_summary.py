from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from resnet_deploy.cli.main import cli


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["summary", *arguments])


def test_table_on_stdout() -> None:
    result = run("--depth", "34")
    assert result.exit_code == 0
    assert "21,797,672" in result.stdout
    assert "3.664 G" in result.stdout
    assert "the paper gives 3.6 billion FLOPs" in result.stdout


def test_json_is_alone_on_stdout() -> None:
    data = json.loads(run("--depth", "20", "--plain", "--num-classes", "7", "--json").stdout)
    assert data["name"] == "plain20"
    assert data["stages"][-1]["layers"] == "average pool; 7-d fc"
    assert data["parameters"] == sum(stage["parameters"] for stage in data["stages"])


def test_json_file_beside_the_table(tmp_path: Path) -> None:
    target = tmp_path / "summary.json"
    result = run("--model", "resnet18", "--shortcut", "a", "--json", str(target))
    assert "total" in result.stdout
    assert json.loads(target.read_text())["name"] == "resnet18"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a network (--depth 34, --model vgg19) or FILE.onnx"),
        (["--depth", "33"], "no ResNet has depth 33"),
        (["x.onnx", "--depth", "34"], "not both"),
        (["nothing.onnx"], "nothing.onnx does not exist"),
        (["--model", "nothing.here:net"], "cannot import nothing.here"),
        (["--model", "vgg19", "--stem", "cifar"], "--stem is for ResNets"),
    ],
)
def test_bad_requests_exit_with_2_and_one_line(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; import resnet_deploy.cli.summary; "
        "print(sorted({'torch', 'onnx', 'numpy', 'rich'} & set(sys.modules)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert output.strip() == "[]"
