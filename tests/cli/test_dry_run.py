"""``--dry-run``: what would be done is said, what would be refused is, and nothing is written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from resnet_deploy.artifact.cache import CACHE_VARIABLE
from resnet_deploy.cli.main import cli
from tests.support.ruined_net import ruined_net
from tests.support.training_runs import made_up


class World:
    """A folder with everything that a command may write to: its files, its cache, its scratch."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        for name in ("cache", "home", "tmp", "work"):
            (folder / name).mkdir()
        monkeypatch.setenv(CACHE_VARIABLE, str(folder / "cache"))
        monkeypatch.setenv("HOME", str(folder / "home"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "home/.cache"))
        monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
        monkeypatch.chdir(folder / "work")

    def everything(self) -> dict[str, tuple[int, int]]:
        """Return all that lies there, with its time of change and its size."""
        found = {str(self.folder): self.folder.stat()}
        found |= {str(path): path.lstat() for path in self.folder.rglob("*")}
        return {name: (stat.st_mtime_ns, stat.st_size) for name, stat in found.items()}

    def dry(self, *words: object) -> Result:
        """Run a command with ``--dry-run``, and see that all is as it was."""
        before = self.everything()
        done = CliRunner().invoke(cli, [*map(str, words), "--dry-run"])
        after = self.everything()
        scratch = str(self.folder / "tmp")  # what was there for a moment has changed its time
        before.pop(scratch, None)
        after.pop(scratch, None)
        assert after == before
        return done


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def preview_of(done: Result) -> dict[str, Any]:
    assert done.exit_code == 0, done.output
    preview: dict[str, Any] = json.loads(done.stdout)["preview"]
    least, most = preview["seconds"]
    assert 0 < least < most < 1e5
    low, high = preview["memory_bytes"]
    assert 1e8 < low < high < 1e10
    return preview


def names(preview: dict[str, Any], part: str) -> list[str]:
    key = "path" if part == "files" else "name"
    return [str(entry[key]) for entry in preview[part]]


def test_an_export_is_previewed(world: World) -> None:
    (world.folder / "work/out").mkdir()
    preview = preview_of(world.dry("export", "--depth", 8, "-o", "out", "--json"))
    assert names(preview, "files") == ["out/resnet8.onnx", "out/resnet8.int8.onnx"]
    assert [entry["replaces"] for entry in preview["files"]] == [False, False]
    assert names(preview, "phases") == [
        "tracing and simplifying",
        "calibrating",
        "rounding weights",
        "comparing with the reference",
        "timing int8 against fp32",
    ]
    told = world.dry("export", "--depth", 8, "--no-int8", "--no-verify")
    assert told.exit_code == 0
    assert "dry run: nothing was written; it would take" in told.stdout
    assert "int8" not in told.stdout
    assert "measured: on a few images, here and now" in told.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--weights", "missing.pth"], "missing.pth"),
        (["--depth", "8", "--opset", "99"], "opset"),
        (["--depth", "8", "-o", "file"], "is a file, not a folder"),
        (["--depth", "8", "--name", "taken", "-o", "."], "was not written by resnet-deploy"),
        (["--depth", "8", "--calibration", "nowhere"], "nowhere"),
        (["--depth", "8", "--calibration", "damaged"], "damaged"),
        (["--depth", "8", "--precision", "fp16", "--effort", "best"], "--precision fp16"),
    ],
    ids=["weights", "opset", "folder", "other file", "no images", "damaged image", "contradiction"],
)
def test_what_an_export_would_refuse_is_refused(world: World, words: list[str], said: str) -> None:
    work = world.folder / "work"
    (work / "file").write_text("no folder")
    (work / "taken.onnx").write_bytes(b"someone else's")
    (work / "damaged/cat").mkdir(parents=True)
    (work / "damaged/cat/1.png").write_bytes(b"no picture")
    done = world.dry("export", *words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_folder_that_can_not_be_written_to(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (world.folder / "work/out").mkdir()

    def access(path: Path, mode: int) -> bool:
        return not (mode & os.W_OK and Path(path).name == "out")  # for root, too

    monkeypatch.setattr("os.access", access)
    done = world.dry("export", "--depth", 8, "-o", "out")
    assert done.exit_code == 2
    assert "out can't be written to" in done.stderr


def test_published_weights_are_not_downloaded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESNET_DEPLOY_WEIGHTS_URL", "http://127.0.0.1:1")  # nobody answers there
    done = world.dry("export", "--depth", 18, "--image-size", 64, "--weights", "imagenet")
    assert done.exit_code == 0, done.output
    assert "resnet18-f37072fd.pth is downloaded first" in " ".join(done.stdout.split())


def test_a_search_is_previewed(world: World) -> None:
    net, data = world.folder / "work/net.onnx", world.folder / "work/data"
    ruined_net(net, data)
    words = ["tune", net, "--data", data, "--time-limit", "90s"]
    preview = preview_of(world.dry(*words, "--max-drop", 1, "--json"))
    first, rest = preview["phases"]
    assert first["name"] == "the default int8 file"
    assert rest["seconds"][1] <= 90
    assert names(preview, "files")[0].endswith("net.tuned/net.tuned.onnx")

    refused = world.dry(*words, "--max-drop", 1, "-o", net)
    assert refused.exit_code == 2
    assert "is a file, not a folder" in refused.stderr


def test_a_training_is_previewed(world: World) -> None:
    data = made_up(world.folder / "work/data.npz")
    words = ["train", "--depth", 8, "--image-size", 16, "--data", data, "--batch-size", 8]
    preview = preview_of(world.dry(*words, "--epochs", 2, "-o", "run", "--json"))
    assert names(preview, "files") == [
        f"run/{name}"
        for name in (
            "run.json",
            "metrics.jsonl",
            "last.pt",
            "model.safetensors",
            "best.safetensors",
        )
    ]
    assert names(preview, "phases") == [
        "decoding",
        "training 6 steps of 8 images",
        "testing after each of 2 epochs",
    ]
    (world.folder / "work/run").mkdir()
    (world.folder / "work/run/last.pt").write_bytes(b"of another run")
    refused = world.dry(*words, "-o", "run")
    assert refused.exit_code == 2
    assert "holds a run already" in refused.stderr
    too_large = world.dry(*words[:-1], 99, "-o", "other")
    assert too_large.exit_code == 2
    assert "choose a smaller one" in too_large.stderr
