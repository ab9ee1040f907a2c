"""``deploy --matrix`` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cli import refused, run
from tests.support.exports import exported

MATRIX = """
[defaults]
image-size = 16
num-classes = 3
calibration-samples = 4
simplify = false
no-calibration-cache = true
keep-slow = true

[nets.small]
depth = 8
[nets.none]
weights = "none.pth"
[targets.any]
"""
WORDS = {"image_size": 16, "num_classes": 3, "calibration_samples": 4, "keep_slow": True}


@pytest.fixture
def matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "m.toml"
    path.write_text(MATRIX, encoding="utf-8")
    return path


def test_cells_are_what_export_makes(matrix: Path) -> None:
    """And the one that fails is told, and is the exit code."""
    result = run("deploy", "--matrix", "m.toml", "-o", "out", "--json", "r.json")
    assert result.exit_code == 1, result.output
    first, second = result.stderr.splitlines()
    assert first.startswith("small x any: done, ")
    assert second.startswith("none x any: failed, ")
    assert "none.pth does not exist" in second
    assert "FAIL  2 cells: 1 done, 1 failed" in result.stdout
    assert "none x any: the weights file none.pth does not exist" in result.stdout
    data = json.loads(Path("r.json").read_text(encoding="utf-8"))
    assert [cell["code"] for cell in data["cells"]] == [0, 2]
    assert data["cells"][0]["deployment"]["verdict"] is None  # nothing was timed
    alone = exported(Path("alone"), depth=8, **WORDS)
    for path in map(Path, alone.files.values()):
        assert path.read_bytes() == Path("out/small/any", path.name).read_bytes()
    again = run("deploy", "--matrix", "m.toml", "-o", "out", "-q")
    assert "1 unchanged, 1 failed" in again.stdout
    assert again.stderr == ""


def test_a_list_of_the_cells(matrix: Path) -> None:
    result = run("deploy", "--matrix", matrix, "--dry-run")
    assert result.exit_code == 0
    assert "2 cells: 2 planned; nothing was made" in result.stdout
    assert [path.name for path in matrix.parent.iterdir()] == ["m.toml"]


def test_a_file_that_is_no_matrix(matrix: Path) -> None:
    matrix.write_text("[nets.a]\ncalibation = 'x'\n[targets.b]", encoding="utf-8")
    refused(
        run("deploy", "--matrix", matrix),
        "m.toml: [nets.a] has no 'calibation': the nearest is 'calibration'",
    )
    refused(run("deploy", "--matrix", "none.toml"), "cannot read the matrix none.toml")
    matrix.write_text(MATRIX, encoding="utf-8")
    refused(run("deploy", "--matrix", matrix, "--cluster", "dask"), "'dask' is neither ray")
    refused(run("deploy", "--matrix", matrix, "-o", "m.toml"), "is a file, not a folder")
