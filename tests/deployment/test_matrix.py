"""Many cells: each whole in its folder, made once, whatever becomes of the others."""

from __future__ import annotations

import functools
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from resnet_deploy import api
from resnet_deploy.artifact.files import sha256_of
from resnet_deploy.deployment.matrix import deploy_matrix
from resnet_deploy.errors import SpecError
from resnet_deploy.processes.interrupts import Interrupts
from resnet_deploy.results import CellResult, CellState, MatrixReport
from resnet_deploy.spec import BundleTarget, ClusterSpec
from resnet_deploy.spec.matrix import CellOptions
from tests.support.environment import HERE
from tests.support.matrix import QuickVerbs, matrix
from tests.support.tiny_model import save_colour_model

ROOT = Path(__file__).parents[2]


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CellOptions:
    """Options of a cell that is spread; temporary files are where they can be counted."""
    (scratch := tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    weights = save_colour_model(tmp_path / "colours.onnx").path
    return CellOptions(weights=str(weights), keep_slow=True, seed=1)


made = functools.partial(deploy_matrix, verbs=QuickVerbs, environment=HERE)


def states(report: MatrixReport) -> list[str]:
    return [cell.state.value for cell in report.cells]


def contents(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_each_cell_lies_in_its_folder(quick: CellOptions, tmp_path: Path) -> None:
    asked = matrix(plain=quick, app=replace(quick, bundle=BundleTarget.CPP))
    told: list[CellResult] = []
    report = made(asked, tmp_path / "out", on_result=told.append)
    assert states(report) == ["done", "done"]
    assert report.passed
    assert report.check() is report
    assert sorted(contents(tmp_path / "out")) == [
        *("net/app/bundle/app.txt", "net/app/manifest.json", "net/app/net.onnx"),
        *("net/plain/manifest.json", "net/plain/net.onnx"),
    ]
    assert tuple(told) == report.cells
    plain, app = report.cells
    where = f"{tmp_path}/out/net/plain"
    assert list(plain.files) == [f"{where}/net.onnx"]
    assert plain.deployment is not None
    assert plain.deployment.files == {"fp32": f"{where}/net.onnx"}
    assert plain.notices == (f"{where}/net.onnx was made",)
    assert app.bundle is not None
    assert app.bundle.folder == f"{tmp_path}/out/net/app/bundle"
    assert list((tmp_path / "scratch").iterdir()) == []


def test_what_is_there_of_the_same_stays(quick: CellOptions, tmp_path: Path) -> None:
    out, asked = tmp_path / "out", matrix(a=quick, b=replace(quick, seed=2))
    made(asked, out)
    before = contents(out)
    report = made(asked, out)
    assert states(report) == ["unchanged"] * 2
    assert len(report.written) == 2
    assert contents(out) == before
    assert states(made(matrix(a=quick, b=quick), out)) == ["unchanged", "done"]
    moved = save_colour_model(tmp_path / "other" / "colours.onnx").path
    assert states(made(matrix(a=replace(quick, weights=str(moved))), out)) == ["unchanged"]
    another = save_colour_model(moved, labels=("x", "y", "z"))
    assert states(made(matrix(a=replace(quick, weights=str(another.path))), out)) == ["done"]
    (out / "net/a/net.onnx").unlink()
    assert states(made(matrix(a=quick), out)) == ["done"]


def test_what_was_changed_by_hand_is_not_replaced(quick: CellOptions, tmp_path: Path) -> None:
    out, asked = tmp_path / "out", matrix(a=quick, b=quick)
    made(asked, out)
    (out / "net/a/net.onnx").write_text("mine")
    (out / "net/b/own.txt").write_text("mine")
    report = made(asked, out)
    assert states(report) == ["failed", "unchanged"]
    assert "was changed since it was written" in report.cells[0].reason
    assert report.cells[0].code == 2
    assert (out / "net/a/net.onnx").read_text() == "mine"
    assert states(made(asked, out, force=True)) == ["done", "unchanged"]
    assert (out / "net/b/own.txt").read_text() == "mine"


def test_a_cell_that_fails_stops_no_other(
    quick: CellOptions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    names = ("missing", "fault", "far", "good")
    report = made(matrix(**{name: replace(quick, name=name) for name in names}), out)
    assert states(report) == ["failed", "failed", "failed", "done"]
    assert [cell.code for cell in report.cells] == [2, 70, 1, 0]
    assert [cell.reason.partition(":")[0] for cell in report.cells] == [
        *("there are no pictures", "internal error", "no file was written", ""),
    ]
    assert report.passed is False
    assert report.reason == ("3 of 4 cells failed; net x missing: there are no pictures: name them")
    assert not (out / "net/missing").exists()
    assert caplog.text == ""
    # It is not taken for done, and another run may have more luck.
    assert states(made(matrix(far=replace(quick, name="far")), out)) == ["failed"]


def test_an_interrupt_leaves_whole_cells(quick: CellOptions, tmp_path: Path) -> None:
    asked = matrix(a=quick, b=replace(quick, name="stop"), c=quick)
    with pytest.raises(KeyboardInterrupt):
        made(asked, tmp_path / "out")
    assert sorted(contents(tmp_path / "out")) == ["net/a/manifest.json", "net/a/net.onnx"]
    assert list((tmp_path / "scratch").iterdir()) == []
    with pytest.raises(KeyboardInterrupt):
        made(matrix(b=replace(quick, name="stop")), tmp_path / "new" / "out")
    assert not (tmp_path / "new").exists()


def test_an_interrupt_that_torch_swallows_fails_no_cell(quick: CellOptions, tmp_path: Path) -> None:
    swallowed = matrix(a=quick, b=replace(quick, name="swallowed"), c=quick)
    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt):
        made(swallowed, tmp_path / "out")
    assert interrupts.seen is signal.SIGTERM
    assert sorted(contents(tmp_path / "out")) == ["net/a/manifest.json", "net/a/net.onnx"]


def test_a_pipe_among_the_files_of_a_cell_is_not_waited_for(
    quick: CellOptions, tmp_path: Path
) -> None:
    asked, out = matrix(a=quick), tmp_path / "out"
    made(asked, out)
    (name,) = made(asked, out, dry_run=True).cells[0].files
    Path(name).unlink()
    os.mkfifo(name)
    # Who waits for the pipe gets this in place of a file, and forever is 5 s.
    writer = threading.Timer(5, lambda: Path(name).write_bytes(b""))
    writer.start()
    assert not made(asked, out, dry_run=True).cells[0].files
    assert writer.is_alive()
    writer.cancel()


def test_a_folder_that_can_not_be_used_stops_no_other(
    quick: CellOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at before the cell is made, and only that cell fails."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "net").write_text("mine")
    (cell,) = made(matrix(fault=replace(quick, name="fault")), out).cells
    assert (cell.code, cell.reason.partition(": name")[0]) == (
        2,
        f"-o {out}/net/fault: {out}/net is a file, not a folder",
    )
    (out / "net").unlink()
    asked = matrix(a=quick, b=quick)
    made(asked, out)

    def unreadable(path: Path) -> str:
        if path.parent.name == "a":
            raise PermissionError(13, "Permission denied", str(path))
        return sha256_of(path)

    monkeypatch.setattr("resnet_deploy.bundles.manifest.sha256_of", unreadable)
    report = made(asked, out)
    assert states(report) == ["failed", "unchanged"]
    assert report.cells[0].reason == f"Permission denied ({out}/net/a/net.onnx)"
    before = contents(out)

    def full(folder: Path, *_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(folder))

    monkeypatch.undo()
    monkeypatch.setattr("resnet_deploy.bundles.manifest.write_folder", full)
    report = made(matrix(a=replace(quick, seed=2), b=quick), out)
    assert states(report) == ["failed", "unchanged"]
    assert contents(out) == before


@pytest.mark.parametrize("workers", [0, -1])
def test_nobody_makes_no_cells(workers: int, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text("[nets.a]\n[targets.t]\n")
    for cluster in (None, "ray"):
        with pytest.raises(SpecError, match=f"there can't be {workers} workers"):
            api.deploy_matrix(tmp_path / "m.toml", tmp_path, workers=workers, cluster=cluster)


def test_nothing_is_made_where_cells_are_listed(quick: CellOptions, tmp_path: Path) -> None:
    asked, out = matrix(a=quick, b=replace(quick, keep_slow=None)), tmp_path / "out"
    report = made(asked, out, dry_run=True)
    assert not out.exists()
    assert report.passed is None
    assert [(cell.state, bool(cell.timed)) for cell in report.cells] == [
        (CellState.PLANNED, False),
        (CellState.PLANNED, True),
    ]
    made(matrix(a=quick), out)
    assert [len(cell.files) for cell in made(asked, out, dry_run=True).cells] == [1, 0]


def test_one_run_at_a_time(quick: CellOptions, tmp_path: Path) -> None:
    def again(cell: CellResult) -> None:
        with pytest.raises(SpecError, match="another command is writing to"):
            made(matrix(a=quick), tmp_path / "out")

    made(matrix(a=quick), tmp_path / "out", on_result=again)


def test_what_is_timed_is_made_here_when_all_else_is_done(
    quick: CellOptions, tmp_path: Path
) -> None:
    options = (quick, replace(quick, int8=False, keep_slow=None), replace(quick, max_drop=1.0))
    assert [bool(each.timed) for each in options] == [False, False, True]
    asked = matrix(timed=options[2], spread=options[0])
    told: list[str] = []
    out = tmp_path / "out"
    cluster = ClusterSpec(workers=2)
    spread = functools.partial(
        made, matrix(timed=options[2]), out, on_result=lambda cell: told.append(cell.target)
    )
    report = spread(cluster=cluster)  # nothing is spread, so nothing is connected
    assert (out / "net/timed/net.onnx").read_text() == f"1 {QuickVerbs(None, cluster)}"
    assert report.notices[0].startswith("1 of 1 cells are made in this process")
    report = made(asked, out, on_result=lambda cell: told.append(cell.target))
    assert told == ["timed", "spread", "timed"]
    assert report.notices == ()


def test_workers_give_the_same(
    quick: CellOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what ends worker after worker is named; it is no harm to the others."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr("resnet_deploy.processes.shards.TRIES", 1)
    cells = {name: replace(quick, seed=seed) for seed, name in enumerate("abc")}
    made(matrix(**cells), tmp_path / "one")
    deadly = replace(quick, name="deadly")
    report = made(matrix(deadly=deadly, **cells), tmp_path / "two", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert states(report) == ["failed", "done", "done", "done"]
    assert report.cells[0].reason.startswith("net x deadly ends whatever process works on it (")
    assert "signal 9" in report.cells[0].reason
    assert list((tmp_path / "scratch").iterdir()) == []
