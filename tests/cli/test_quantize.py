"""``quantize --sensitivity`` and its accuracy budgets, as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.cli.main import cli
from tests.support.ruined_net import RUINED, ruined_net
from tests.support.sensitivity import same_turns


@pytest.fixture(autouse=True)
def _same_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resnet_deploy.sensitivity.take_turns", same_turns)


@pytest.fixture(scope="module")
def ruined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ruined")
    ruined_net(folder / "net.onnx", folder / "data")
    return folder


def quantize(ruined: Path, *arguments: object) -> Result:
    command = ["quantize", ruined / "net.onnx", "--no-calibration-cache", *arguments]
    return CliRunner().invoke(cli, [str(argument) for argument in command])


def test_a_ranking_on_calibration_images(ruined: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    result = quantize(
        ruined,
        "--calibration",
        ruined / "data",
        "-o",
        tmp_path,
        "--sensitivity",
        "--json",
        target,
    )
    # The file is not close, so it is not written; which layer is to blame is shown all the same.
    assert result.exit_code == 1, result.output
    assert "nothing was written" in result.output
    data = json.loads(target.read_text())
    assert data["sensitivity"]["layers"][0]["name"] == RUINED
    assert data["sensitivity"]["layers"][0]["top1_gain"] is None
    assert data["budget"] is None


def test_best_effort_and_a_budget_on_a_file_of_another_tool(ruined: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    images = ("--calibration", ruined / "data", "--data", ruined / "data")
    result = quantize(ruined, *images, "--effort", "best", "--max-drop", 5, "-o", out)
    assert result.exit_code == 0, result.output
    assert "budget (at most 5 points of top-1 lost): PASS" in result.output
    assert f"2 layers in float: {RUINED}, add" in result.output
    assert load(out).quantized


def test_a_missed_budget_is_exit_code_1(ruined: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    images = ("--calibration", ruined / "data", "--data", ruined / "data")
    exclude = ("--exclude", "conv*", "--exclude", "fc", "--exclude", "layer1.conv1")
    result = quantize(ruined, *images, *exclude, "--max-drop", 0, "-o", out)
    assert result.exit_code == 1
    (line,) = (one for one in result.output.splitlines() if "budget (" in one)
    assert "FAIL  the best file reaches top-1" in line
    assert load(out).quantized


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--max-drop", "1"), "use --min-agreement, which needs no labels"),
        (("--max-drop", "101"), "0 to 100 points"),
        (("--min-agreement", "99"), "a share from 0 to 1"),
        (("--min-agreement", "0.9"), "synthetic images"),
        (("--sensitivity", "--data", "nowhere"), "nowhere does not exist"),
        (("--data", "nowhere"), "add one of them"),
    ],
)
def test_one_line_says_what_is_missing(
    options: tuple[str, ...], says: str, ruined: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.onnx"
    result = quantize(ruined, *options, "-o", out)
    assert result.exit_code == 2
    message = result.stderr.strip()
    assert message.startswith("resnet-deploy: error: ")
    assert says in message
    assert "\n" not in message
    assert not out.exists()
