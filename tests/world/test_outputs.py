"""Where results can't be written: one line, the right code, and nothing is touched."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.errors import ArtifactError
from tests.support.cli import refused, run
from tests.support.tiny_model import save_colour_model
from tests.support.training_images import folder as labelled_folder
from tests.support.training_runs import made_up
from tests.support.world import OUTPUTS, no_hang, rights_of_any_user, small_files

NET = ("--depth", "8", "--image-size", "16", "--num-classes", "3", "--threads", "1")
QUICK = ("--epochs", "1", "--batch-size", "8", "--precision", "float32", "--recipe", "cifar-fast")


@pytest.fixture
def things(tmp_path: Path) -> Path:
    labelled_folder(tmp_path / "data")
    made_up(tmp_path / "made-up.npz")
    save_colour_model(tmp_path / "colours.onnx", labels=("a", "b", "c"))
    return tmp_path


def files(folder: Path) -> dict[str, int]:
    """Return what lies in ``folder``, and of which kind it is."""
    return {
        str(path.relative_to(folder)): stat.S_IFMT(path.lstat().st_mode)
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("option", ["json", "report", "csv", "markdown"])
def test_a_result_does_not_replace_what_is_no_file(option: str, kind: str, things: Path) -> None:
    OUTPUTS[kind](things / "odd")
    before = files(things)
    with no_hang():
        refused(run("summary", things / "colours.onnx", f"--{option}", things / "odd"))
    assert files(things) == before


@pytest.mark.parametrize("option", ["json", "report", "csv", "markdown"])
@pytest.mark.parametrize("device", ["null", "zero", "full"])
def test_a_result_does_not_replace_a_device(option: str, device: str, things: Path) -> None:
    with no_hang():
        refused(run("summary", things / "colours.onnx", f"--{option}", f"/dev/{device}"))
    assert Path("/dev", device).is_char_device()


@pytest.mark.parametrize("kind", OUTPUTS)
def test_nothing_is_replaced_but_files_and_links(kind: str, tmp_path: Path) -> None:
    OUTPUTS[kind](tmp_path / "odd")
    with pytest.raises(ArtifactError, match=r"cannot write .*something else than a file"):
        write_atomically(tmp_path / "odd", b"whole")
    assert list(files(tmp_path)) == ["odd"]
    (tmp_path / "precious").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("precious")
    write_atomically(tmp_path / "link", b"whole")
    assert (tmp_path / "precious").read_bytes() == b"mine"


WRITERS: dict[str, tuple[str, ...]] = {
    "json": ("summary", "colours.onnx", "--json", "out/result.json"),
    "report": ("summary", "colours.onnx", "--report", "out/page.html"),
    "record": ("evaluate", "out/colours.onnx", "--data", "data/test", "--record"),
    "bundle": ("bundle", "colours.onnx", "--target", "cpp", "--pictures", "1", "-o", "out"),
    "train": ("train", *NET, *QUICK, "--data", "made-up.npz", "-o", "out"),
}


EARLY = ("run.json", "metrics.jsonl", "events.out.tfevents")


def words(writer: str, things: Path) -> list[str]:
    known = {"colours.onnx", "data", "made-up.npz", "out"}
    return [
        str(things / word) if Path(word).parts[0] in known else word for word in WRITERS[writer]
    ]


def _old_files(writer: str, things: Path) -> dict[str, bytes]:
    (things / "out").mkdir()
    if writer == "record":
        shutil.copy(things / "colours.onnx", things / "out")
    return {path.name: path.read_bytes() for path in (things / "out").iterdir()}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_disk_that_gets_full(writer: str, things: Path) -> None:
    before = _old_files(writer, things)
    with small_files():
        result = run(*words(writer, things))
    refused(result)
    left = {path.name: path.read_bytes() for path in (things / "out").rglob("*") if path.is_file()}
    if writer == "train":  # what it wrote before is whole
        left = {
            name: data for name, data in left.items() if name not in ("run.json", "metrics.jsonl")
        }
        left = {name: data for name, data in left.items() if "tfevents" not in name}
    assert left == before


@pytest.mark.parametrize("writer", WRITERS)
def test_a_folder_that_may_not_be_written(writer: str, things: Path) -> None:
    before = _old_files(writer, things)
    (things / "out").chmod(0o500)
    try:
        with rights_of_any_user():
            result = run(*words(writer, things))
    finally:
        (things / "out").chmod(0o700)
    refused(result)
    assert {path.name: path.read_bytes() for path in (things / "out").iterdir()} == before


@pytest.mark.parametrize(
    ("link", "arguments"),
    [
        ("tensorboard", ("train", *NET, *QUICK, "--data", "made-up.npz", "-o", "out")),
        ("trials", ("tune", "colours.onnx", "--data", "data/test", "--max-drop", "1", "-o", "out")),
        ("cache", ("tune", "colours.onnx", "--data", "data/test", "--max-drop", "1", "-o", "out")),
        ("golden", ("bundle", "colours.onnx", "--target", "cpp", "-o", "out")),
    ],
)
def test_nothing_is_written_where_a_link_in_the_folder_leads(
    link: str, arguments: tuple[str, ...], things: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(things)
    (things / "elsewhere").mkdir()
    (things / "elsewhere/events.out.tfevents.1").write_bytes(b"mine")
    (things / "out").mkdir()
    (things / "out" / link).symlink_to("../elsewhere")
    refused(run(*arguments), f"{link} is a link")
    assert [path.name for path in (things / "elsewhere").iterdir()] == ["events.out.tfevents.1"]
    assert [path.name for path in (things / "out").iterdir()] == [link]


@pytest.mark.parametrize("place", ["model", "--json", "a picture"])
def test_names_that_are_too_long(place: str, things: Path) -> None:
    name = str(things / ("x" * 300))
    refused(
        run("summary", name)
        if place == "model"
        else run("summary", things / "colours.onnx", "--json", name)
        if place == "--json"
        else run("predict", things / "colours.onnx", name)
    )


def test_names_that_are_no_utf_8(things: Path) -> None:
    odd = things / os.fsdecode(b"x\xe9")
    odd.mkdir()
    shutil.copy(things / "colours.onnx", odd / os.fsdecode(b"\xff.onnx"))
    shutil.copy(things / "data/test/a/0.png", odd / os.fsdecode(b"\xfe.png"))
    model = odd / os.fsdecode(b"\xff.onnx")
    for arguments in (
        ("predict", model, odd / os.fsdecode(b"\xfe.png")),
        ("predict", model, odd / os.fsdecode(b"\xfe.png"), "--json"),
        ("summary", model, "--json", odd / "result.json", "--report", odd / "page.html"),
        ("bundle", model, "--target", "cpp", "--pictures", "1", "-o", odd / os.fsdecode(b"\xfd")),
    ):
        result = run(*arguments)
        assert result.exit_code == 0, result.output
        result.stdout.encode()
    refused(run("predict", model, odd / os.fsdecode(b"gone\xfe.png")), "gone\\udcfe.png")


def test_the_folder_that_it_is_started_in_is_gone(
    things: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = things / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    result = run("predict", things / "colours.onnx", things / "data/test/a/0.png")
    assert result.exit_code == 0, result.output
    refused(run("predict", "colours.onnx", "0.png"))
    refused(run("summary", things / "colours.onnx", "--json", "result.json"))
    refused(run("bundle", things / "colours.onnx", "--target", "cpp", "-o", "out"))


@pytest.mark.parametrize("broken", ["gone", "unwritable"])
def test_no_temporary_folder(broken: str, things: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _old_files("record", things)
    monkeypatch.setattr("tempfile.tempdir", str(things / "tmp"))
    if broken == "unwritable":
        (things / "tmp").mkdir(mode=0o500)
    with rights_of_any_user():
        refused(
            run("evaluate", things / "colours.onnx", "--data", things / "data/test", "--record"),
            "TMPDIR",
        )


def test_no_temporary_folder_anywhere(things: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _old_files("record", things)
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("TMPDIR", str(things / "gone"))
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: [str(things / "gone")])
    refused(
        run("evaluate", things / "colours.onnx", "--data", things / "data/test", "--record"),
        "TMPDIR",
    )


def test_no_home(things: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("HOME", "XDG_CACHE_HOME", "RESNET_DEPLOY_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    result = run("summary", things / "colours.onnx")
    assert result.exit_code == 0, result.output
    refused(run("quantize", things / "colours.onnx", "-o", things / "out"), "RESNET_DEPLOY_CACHE")
