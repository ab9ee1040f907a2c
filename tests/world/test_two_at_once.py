"""Two commands write into one folder: one command's whole set, or one clear refusal."""

from __future__ import annotations

import functools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import safe_open

from resnet_deploy.artifact.files import sha256_of, write_atomically, write_together
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.artifact.weights_card import WEIGHTS_CARD_KEY
from resnet_deploy.errors import ArtifactError
from resnet_deploy.training.checkpoint import load_checkpoint
from tests.support.forks import run_forked
from tests.support.tiny_model import save_colour_model
from tests.support.training_images import folder as labelled_folder
from tests.support.training_runs import made_up
from tests.support.two_at_once import Ended, both
from tests.support.whole_files import halves, remains

NET = ("--depth", "8", "--image-size", "16", "--num-classes", "3", "--threads", "1")
EXPORT = (
    *("export", *NET, "--name", "net", "-o", "out", "--calibration-samples", "8"),
    *("--keep-slow", "--no-calibration-cache", "-q"),
)
QUANTIZE = (
    *("quantize", "net.onnx", "-o", "out", "--calibration-samples", "8", "--keep-slow"),
    *("--no-calibration-cache", "--threads", "1", "--seed", "5", "-q"),
)
BUNDLE = ("bundle", "colours.onnx", "--pictures", "1", "-o", "out", "-q", "--target")
TUNE = (
    *("tune", "net.onnx", "--data", "data/test", "-o", "out", "--min-agreement", "0.1"),
    *("--time-limit", "1s", "--threads", "1", "-q"),
)
TRAIN = (
    *("train", *NET, "--epochs", "1", "--batch-size", "8", "--precision", "float32", "-q"),
    *("--recipe", "cifar-fast", "--data", "made-up.npz", "-o", "out"),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    labelled_folder(folder / "data")
    made_up(folder / "made-up.npz")
    save_colour_model(folder / "colours.onnx", labels=("a", "b", "c"))
    assert run_forked(*EXPORT, "--seed", "7", cwd=folder).returncode == 0
    shutil.move(folder / "out/net.onnx", folder)
    shutil.rmtree(folder / "out")
    return folder


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256_of(path)
        for path in folder.rglob("*")
        if path.is_file()
    }


Words = tuple[str, ...]


@pytest.fixture(scope="module")
def alone(place: Path) -> Callable[[Words], dict[str, str]]:
    """Return what a command writes that writes the same bytes every time."""

    @functools.cache
    def written(words: Words) -> dict[str, str]:
        out = empty(place)
        assert run_forked(*words, cwd=place).returncode == 0
        return digests(out)

    return written


SAME = {
    "export": ((*EXPORT, "--seed", "0"), (*EXPORT, "--seed", "1")),
    "export, quantize": ((*EXPORT, "--seed", "0"), QUANTIZE),
    "quantize, export": (QUANTIZE, (*EXPORT, "--seed", "0")),
    "bundle": ((*BUNDLE, "cpp"), (*BUNDLE, "cpp", "--seed", "1")),
    "bundles of two targets": ((*BUNDLE, "triton"), (*BUNDLE, "web")),
}


def right_codes(*ended: Ended) -> None:
    """At least one did its work; the other did, or was refused in one line."""
    assert 0 in (one.code for one in ended), ended
    for one in ended:
        assert one.code in (0, 2), ended
        lines = one.stderr.splitlines()
        assert len(lines) == (1 if one.code else 0), ended


def empty(place: Path) -> Path:
    out = place / "out"
    shutil.rmtree(out, ignore_errors=True)
    return out


def steps(*some: int) -> list[int]:
    """Return at which touches of its folder a command is held; all of them for the asking."""
    most = int(os.environ.get("RESNET_DEPLOY_TEST_STEPS", "0"))
    return list(range(1, most + 1)) if most else list(some)


@pytest.mark.parametrize(
    ("pair", "at"),
    [
        *(("export", at) for at in steps(6)),
        *(("export, quantize", at) for at in steps(6)),
        *(("quantize, export", at) for at in steps(3)),
        *(("bundle", at) for at in steps(1, 40, 47, 70)),
        *(("bundles of two targets", at) for at in steps(3, 33, 48)),
    ],
)
def test_the_files_are_those_of_one_after_the_other(
    pair: str, at: int, place: Path, alone: Callable[[Words], dict[str, str]]
) -> None:
    first, second = SAME[pair]
    each = alone(first), alone(second)
    out = empty(place)
    *ended, came = both(first, second, place, at=at)
    if not came and steps() != []:
        pytest.skip(f"{pair} has fewer touches than {at}")
    assert came
    right_codes(*ended)
    written = [files for files, one in zip(each, ended, strict=True) if not one.code]
    if "bundle" in pair:
        assert digests(out) in written
    else:
        assert digests(out) in ({**written[0], **written[-1]}, {**written[-1], **written[0]})


def trained_with(weights: Path) -> int:
    """Return the seed in the card of ``weights``."""
    with safe_open(weights, "pt") as opened:
        card = json.loads(opened.metadata()[WEIGHTS_CARD_KEY])
    seed: int = card["training"]["seed"]
    return seed


@pytest.mark.parametrize("at", steps(1, 2, 5, 9, 16))
@pytest.mark.parametrize("again", [False, True], ids=["new", "--force"])
def test_one_training_a_folder(again: bool, at: int, place: Path) -> None:
    out = empty(place)
    options = ("--force",) if again else ()
    *ended, came = both(
        (*TRAIN, "--seed", "0", *options), (*TRAIN, "--seed", "1", *options), place, at=at
    )
    assert came or steps() != []
    right_codes(*ended)
    assert list(halves(out)) == []
    assert remains(out) == []
    seeds = {
        json.loads((out / "run.json").read_bytes())["settings"]["seed"],
        load_checkpoint(out / "last.pt").settings["seed"],
        trained_with(out / "model.safetensors"),
    }
    assert len(seeds) == 1
    codes = [one.code for one in ended]
    assert codes[seeds.pop()] == 0
    assert again or sorted(codes) == [0, 2]
    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_bytes().splitlines()]
    assert [line["kind"] for line in metrics] == ["epoch"]


@pytest.mark.parametrize("at", steps(1, 4, 7))
def test_one_search_a_folder(at: int, place: Path) -> None:
    out = empty(place)
    *ended, came = both((*TUNE, "--seed", "0"), (*TUNE, "--seed", "1"), place, at=at)
    assert came or steps() != []
    right_codes(*ended)
    assert list(halves(out)) == []
    assert remains(out) == []
    evidence = json.loads((out / "tune.json").read_bytes())
    for trial in evidence["trials"]:
        assert sha256_of(out / "trials" / trial["file"]) == trial["sha256"]
    card = load(out / "net.tuned.onnx").card
    assert card is not None
    assert card.steps[-1].options["trial_sha256"] in {
        trial["sha256"] for trial in evidence["trials"]
    }
    codes = [one.code for one in ended]
    assert codes[evidence["spec"]["seed"]] == 0
    assert sorted(codes) == [0, 2]


def test_no_page_tells_of_files_that_another_command_replaced(tmp_path: Path) -> None:
    write_atomically(tmp_path / "net.onnx", b"mine")
    told = {tmp_path / "net.onnx": sha256_of(tmp_path / "net.onnx")}
    write_together({tmp_path / "page.html": b"mine"}, about=told)
    write_atomically(tmp_path / "net.onnx", b"yours")
    with pytest.raises(ArtifactError, match="was replaced by another command meanwhile"):
        write_together({tmp_path / "page.html": b"mine again"}, about=told)
    assert (tmp_path / "page.html").read_bytes() == b"mine"
