"""tune as a user calls it: what it writes, its exit codes, and what it says to bad input."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click
import pytest

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.cli.tune import Duration
from resnet_deploy.results import TuningReport
from resnet_deploy.spec import Objective, TuneSpec
from tests.support.cli import refused, run
from tests.support.ruined_net import ruined_net
from tests.support.track import Track

ENOUGH = ("--max-drop", 100, "--threads", 1)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ruined")
    ruined_net(folder / "net.onnx", folder / "data")
    return folder


@pytest.fixture
def track(monkeypatch: pytest.MonkeyPatch) -> Track:
    found = Track()
    monkeypatch.setattr("resnet_deploy.tuning.search.race", found.race)
    monkeypatch.setattr("resnet_deploy.tuning.search.runner_status", list)
    return found


def command(net: Path, *options: object) -> tuple[object, ...]:
    return ("tune", net / "net.onnx", "--data", net / "data", *options)


def test_the_result_is_a_folder_that_a_second_call_completes(
    net: Path, track: Track, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = run(*command(net, *ENOUGH, "-o", out, "--keep-input", "--json", "--time-limit", "0.1s"))
    assert first.exit_code == 0, (first.output, first.exception)
    found = json.loads(first.stdout)
    assert found == json.loads((out / "tune.json").read_text()) | {
        "environment": found["environment"],
        "shipped": str(out / "net.tuned.onnx"),
    }
    assert not found["complete"]
    assert found["spec"]["time_limit"] == 0.1
    assert {path.name for path in out.iterdir()} == {
        *("net.tuned.onnx", "tune.json", "tune.html", "trials"),
    }
    assert load(out / "net.tuned.onnx").card is not None
    assert "<html" in (out / "tune.html").read_text()

    tried = len(found["trials"])
    second = run(*command(net, *ENOUGH, "-o", out, "--keep-input"))
    assert second.exit_code == 0, (second.output, second.exception)
    assert "PASS" in second.stdout
    resumed = json.loads((out / "tune.json").read_text())
    assert resumed["complete"]
    assert resumed["trials"][0] == found["trials"][0]
    assert len(resumed["trials"]) > tried


def test_a_report_of_its_own_name_and_no_page_in_the_folder(
    net: Path, track: Track, tmp_path: Path
) -> None:
    out, page = tmp_path / "out", tmp_path / "page.html"
    done = run(*command(net, *ENOUGH, "-o", out, "--time-limit", 0.1, "--report", page))
    assert done.exit_code == 0, (done.output, done.exception)
    assert page.exists()
    assert not (out / "tune.html").exists()


def test_exit_code_1_where_nothing_keeps_the_budget(
    net: Path, track: Track, tmp_path: Path
) -> None:
    done = run(*command(net, "--min-agreement", 1, "-o", tmp_path / "out", "--time-limit", 0.1))
    assert done.exit_code == 1, (done.output, done.exception)
    assert "FAIL" in done.stdout
    assert (tmp_path / "out/tune.html").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), ["--max-drop"]),
        (("--min-agreement", 99), ["--min-agreement 99"]),
        (("--max-drop", 1, "--calibration", "nowhere"), ["nowhere"]),
    ],
)
def test_bad_input_is_one_line(
    net: Path, tmp_path: Path, options: tuple[object, ...], words: list[str]
) -> None:
    refused(run(*command(net, *options, "-o", tmp_path / "out")), *words)


@pytest.mark.parametrize("limit", ["soon", "10d", "-5", "1e3", "1 m", ""])
def test_what_is_no_time_is_a_usage_error(net: Path, limit: str) -> None:
    done = run(*command(net, *ENOUGH, f"--time-limit={limit}"))
    assert done.exit_code == 2
    assert "is not a time such as 90, 90s, 10m or 1h" in done.stderr


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90.0), ("90s", 90.0), ("1.5m", 90.0), ("10m", 600.0), ("2h", 7200.0), (3.5, 3.5)],
)
def test_a_time_has_a_unit_or_is_in_seconds(text: object, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ((), {}),
        (("--objective", "size"), {"objective": Objective.SIZE}),
        (("--time-limit", "2m"), {"time_limit": 120.0}),
        (("--keep-input",), {"keep_input": True}),
        (("--seed", 7), {"seed": 7}),
    ],
)
def test_every_option_reaches_the_search(
    net: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[object, ...],
    changed: dict[str, object],
) -> None:
    asked: list[TuneSpec] = []

    def search(source: object, out: object, spec: TuneSpec, **_: object) -> TuningReport:
        asked.append(spec)
        raise click.Abort

    monkeypatch.setattr("resnet_deploy.tuning.tune", search)
    run(*command(net, *ENOUGH, "-o", tmp_path / "out", *options))
    usual = TuneSpec(max_drop=100.0, time_limit=600.0, threads=1)
    assert asked == [replace(usual, **changed)]  # type: ignore[arg-type]
