"""Every writer on a disk that gets full, a real one: one line, and nothing half-written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from resnet_deploy.errors import ArtifactError
from resnet_deploy.training.metrics import Metrics
from tests.support.cli import refused, run
from tests.support.tiny_model import save_colour_model
from tests.support.training_images import folder as labelled_folder
from tests.support.training_runs import made_up
from tests.support.whole_files import halves, remains
from tests.support.world import pages_of, small_disk, small_files

NET = ("--depth", "8", "--image-size", "16", "--num-classes", "3", "--threads", "1")
INT8 = ("--calibration-samples", "8", "--keep-slow", "--no-calibration-cache", "-o", "out")
BUNDLE = ("bundle", "colours.onnx", "--pictures", "1", "-o", "out", "--target")
PAGES = (
    *("--json", "out/result.json", "--report", "out/page.html"),
    *("--csv", "out/table.csv", "--markdown", "out/page.md"),
)
BENCH = ("bench", "colours.onnx", "--runner", "ort", "--rounds", "2", "--runs", "2", "-q")
OTHER = ("--seed", "1")

WRITERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "export": (("export", *NET, *INT8), OTHER),
    "quantize": (("quantize", "resnet8.onnx", *INT8, "--threads", "1"), OTHER),
    **{f"bundle {target}": ((*BUNDLE, target), OTHER) for target in ("cpp", "web", "node")},
    "bundle triton": ((*BUNDLE, "triton"), OTHER),
    "bundle mobile": ((*BUNDLE, "mobile"), OTHER),
    "bench": ((*BENCH, "--time-limit", "1", "--threads", "1", *PAGES), ()),
    "predict": (("predict", "colours.onnx", "data/test/a/0.png", *PAGES), ()),
    "evaluate": (("evaluate", "colours.onnx", "--data", "data/test", *PAGES), ()),
    "summary": (("summary", "colours.onnx", *PAGES), ()),
}
"""A command that replaces what it finds in ``out/``, and what an older one said besides."""

SLOW = ("export", "bundle mobile", "bench")
"""Seconds each: these are let fail at the last block alone."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full")
    labelled_folder(folder / "data")
    made_up(folder / "made-up.npz")
    save_colour_model(folder / "colours.onnx", labels=("a", "b", "c"))
    command, besides = WRITERS["export"]
    older = folder / "export-older"
    result = run(*[str(older) if word == "out" else word for word in (*command, *besides)])
    assert result.exit_code == 0, result.output
    shutil.copy(older / "resnet8.onnx", folder)
    return folder


@pytest.fixture(autouse=True)
def there(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    shutil.rmtree("out", ignore_errors=True)


@pytest.fixture(scope="module")
def older(place: Path) -> Callable[[str], Path]:
    """Return the folder with what an older command of a writer wrote."""

    def made(writer: str) -> Path:
        kept = place / f"{writer}-older"
        if not kept.exists():
            command, besides = WRITERS[writer]
            result = run(*command, *besides)
            assert result.exit_code == 0, result.output
            Path("out").rename(kept)
        return kept

    return made


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize(
    ("writer", "last"),
    [(writer, last) for writer in WRITERS for last in (False, True) if last or writer not in SLOW],
)
def test_what_was_there_stays_as_it_was(
    writer: str, last: bool, older: Callable[[str], Path]
) -> None:
    kept = older(writer)
    before, pages = contents(kept), pages_of(kept)
    out = Path("out")
    out.mkdir()
    # All new files lie beside the old ones before the first is moved.
    with small_disk(out, pages + (pages - 1 if last else 0)):
        shutil.copytree(kept, out, dirs_exist_ok=True)
        result = run(*WRITERS[writer][0])
        after = contents(out)
    refused(result, "No space left on device", "cannot write out/")
    assert after.keys() == before.keys()
    assert after == before


@pytest.mark.parametrize("pages", [1, 3])
def test_a_card_that_is_completed_stays_as_it_was(pages: int) -> None:
    out = Path("out")
    out.mkdir()
    with small_disk(out, pages):
        shutil.copy("colours.onnx", out)
        before = contents(out)
        if pages > 1:
            (out / "other").write_bytes(bytes(4096 * (pages - 1)))
            before = contents(out)
        result = run("evaluate", "out/colours.onnx", "--data", "data/test", "--record")
        after = contents(out)
    refused(result, "No space left on device")
    assert after == before


TRAIN = (
    *("train", *NET, "--epochs", "1", "--batch-size", "8", "--precision", "float32", "-o", "out"),
    *("--recipe", "cifar-fast", "--data", "made-up.npz", "-q"),
)
TUNE = (
    *("tune", "resnet8.onnx", "--data", "data/test", "-o", "out", "--min-agreement", "0.1"),
    *("--time-limit", "1s", "--threads", "1", "-q"),
)


@pytest.mark.parametrize(
    ("verb", "pages"),
    [*(("train", pages) for pages in (0, 1, 2, 40, 220)), ("tune", 0), ("tune", 1), ("tune", 40)],
)
def test_work_that_goes_on_where_it_stopped(verb: str, pages: int) -> None:
    """What it wrote before is whole, and with more room the same command ends well."""
    command = TRAIN if verb == "train" else TUNE
    out = Path("out")
    out.mkdir()
    with small_disk(out, pages + 1):
        (out / "block").write_bytes(bytes(4096))
        result = run(*command)
        refused(result, "No space left on device")
        assert list(halves(out)) == []
        assert remains(out) == []
        (out / "block").unlink()
        shutil.copytree(out, "with-room")
    out.rmdir()
    Path("with-room").rename(out)
    again = run(*command, "--resume") if verb == "train" else run(*command)
    assert again.exit_code == 0, again.output
    assert list(halves(out)) == []


@pytest.mark.parametrize(
    ("writer", "pages"),
    [("quantize", 1), ("bench", 1), ("export", 3), ("bundle mobile", 1), ("tune", 3)],
)
def test_no_room_for_what_is_temporary(
    writer: str, pages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = Path("temporary").absolute()
    temporary.mkdir(exist_ok=True)
    command = TUNE if writer == "tune" else WRITERS[writer][0]
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    with small_disk(temporary, pages):
        result = run(*command)
        left = list(temporary.iterdir())
    refused(result, f"cannot write a temporary file in {temporary}", "set TMPDIR")
    assert left == []
    assert not [name for name in contents(Path("out")) if not name.startswith("trials")]


def test_a_disk_that_gets_full_within_a_line(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path / "metrics.jsonl")

    def write() -> None:
        for step in range(1000):
            metrics.write("step", step, {"loss": 0.125})

    with small_files(), pytest.raises(ArtifactError, match="cannot write"):
        write()
    assert list(halves(tmp_path)) == []
    assert len((tmp_path / "metrics.jsonl").read_bytes().splitlines()) > 10
