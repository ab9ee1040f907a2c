"""What a killed run leaves is removed by the next one; what a run that is alive needs is not."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from resnet_deploy.artifact.files import write_atomically, write_together
from resnet_deploy.artifact.unfinished import (
    Scratch,
    Unfinished,
    find_temporary_folder,
    in_turn,
    is_unfinished,
    scratch_folder,
)

TOKEN = "0123456789abcdef"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    for name in (f".resnet-deploy-{TOKEN}.tmp", f".resnet-deploy-{TOKEN}-1.tmp"):
        (tmp_path / name).write_bytes(b"half")
        assert is_unfinished(tmp_path / name)
    # The first is moved last, so that it may be the only one that is left, or the only one gone.
    (tmp_path / ".resnet-deploy-fedcba9876543210-2.tmp").write_bytes(b"half")
    write_atomically(tmp_path / "file", b"whole")
    assert names(tmp_path) == {"file"}


def test_a_folder_that_another_run_takes_for_abandoned_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is locked, nobody can tell it from one that a killed run left."""
    opened = os.open
    taken: list[Path] = []

    def too_late(path: Path, *words: int) -> int:
        if not taken and is_unfinished(Path(path)):
            taken.append(Path(path))
            Path(path).rmdir()
        return opened(path, *words)

    monkeypatch.setattr(os, "open", too_late)
    with scratch_folder(tmp_path) as folder:
        assert folder.is_dir()
        assert [folder] != taken != []


def test_files_of_other_names_stay(tmp_path: Path) -> None:
    theirs = {".resnet-deploy-mine.tmp", f"resnet-deploy-{TOKEN}.tmp", f".resnet-deploy-{TOKEN}"}
    for name in theirs:
        (tmp_path / name).write_bytes(b"mine")
    write_atomically(tmp_path / "file", b"whole")
    assert names(tmp_path) == theirs | {"file"}


def test_what_a_live_run_holds_stays(tmp_path: Path) -> None:
    other = Unfinished(tmp_path)
    held = []
    for _ in range(2):
        path, descriptor = other.new()
        os.close(descriptor)
        held.append(path)
    write_atomically(tmp_path / "file", b"whole")
    assert all(path.exists() for path in held)
    other.remove()
    assert names(tmp_path) == {"file"}


def test_a_link_with_such_a_name_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis").write_bytes(b"all of it")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f".resnet-deploy-{TOKEN}.tmp").symlink_to(precious)
    write_atomically(tmp_path / "out" / "file", b"whole")
    assert (precious / "thesis").exists()


def test_a_pipe_with_such_a_name_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f".resnet-deploy-{TOKEN}.tmp")
    write_atomically(tmp_path / "file", b"whole")
    assert names(tmp_path) == {"file"}


def test_folders_for_work_are_removed_and_those_of_killed_runs_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    abandoned = tmp_path / f".resnet-deploy-{TOKEN}.tmp"
    (abandoned / "deep").mkdir(parents=True)
    (abandoned / "deep/model.onnx").write_bytes(b"large")
    with scratch_folder() as folder:
        assert not abandoned.exists()
        scratch = Scratch()
        assert names(tmp_path) == {folder.name, scratch.folder.name}
        assert folder.stat().st_mode & 0o777 == 0o700
    assert names(tmp_path) == {scratch.folder.name}
    del scratch
    gc.collect()
    assert names(tmp_path) == set()


def test_a_name_as_long_as_names_can_be(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("x" * 255), b"whole")
    assert names(tmp_path) == {"x" * 255}


@pytest.mark.parametrize("variable", ["TMPDIR", "TEMP", "TMP"])
def test_no_file_is_named_where_the_temporary_folder_is_tried(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    names_of_files = []

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and str(arguments[0]).startswith(f"{tmp_path}{os.sep}"):
            names_of_files.append(arguments[0])

    sys.addaudithook(hear)
    find_temporary_folder()
    assert (tempfile.gettempdir(), names_of_files) == (str(tmp_path), [])


def test_where_there_is_no_temporary_folder_python_finds_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    monkeypatch.setenv("TEMP", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    find_temporary_folder()
    assert tempfile.gettempdir() == str(tmp_path)


def test_sets_of_files_are_moved_one_set_after_the_other(tmp_path: Path) -> None:
    paths = [tmp_path / "model", tmp_path / "card"]
    written = threading.Event()

    def write() -> None:
        write_together(dict.fromkeys(paths, b"2"))
        written.set()

    with in_turn([tmp_path]):
        thread = threading.Thread(target=write)
        thread.start()
        assert not written.wait(0.2)
        for path in paths:
            path.write_bytes(b"1")
    thread.join()
    assert [path.read_bytes() for path in paths] == [b"2", b"2"]


def test_nobody_waits_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resnet_deploy.artifact.unfinished._TURN_SECONDS", 0.05)
    with in_turn([tmp_path]):
        write_together({tmp_path / "a": b"1", tmp_path / "b": b"1"})
    assert names(tmp_path) == {"a", "b"}


@pytest.mark.parametrize("step", range(12))
def test_a_signal_at_any_step_of_the_removal_leaves_no_folder(step: int, tmp_path: Path) -> None:
    code = f"""
import signal, sys
from resnet_deploy.artifact.unfinished import scratch_folder
from resnet_deploy.processes.interrupts import Interrupts

left = {step} * 3

def at_step(frame, event, argument):
    global left
    if event == "line" and frame.f_code.co_filename.endswith(("unfinished.py", "interrupts.py")):
        left -= 1
        if left == 0:
            signal.raise_signal(signal.SIGHUP)
    return at_step

outside = Interrupts(spared=sys.maxsize)
outside.__enter__()
try:
    with Interrupts(), scratch_folder() as folder:
        (folder / "file").write_bytes(b"")
        sys._getframe().f_trace = at_step
        sys.settrace(at_step)
except KeyboardInterrupt:
    pass
sys.settrace(None)
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert names(tmp_path) == set()
