"""train as a user calls it, and what it says to bad input."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tomllib
import torch
from click.testing import CliRunner, Result
from PIL import Image

from resnet_deploy import api
from resnet_deploy.cli.main import cli
from resnet_deploy.errors import ToldError, TrainingError
from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.models.registry import build
from resnet_deploy.results import from_dict
from resnet_deploy.results.training import TrainingResult
from resnet_deploy.spec import resnet_spec
from resnet_deploy.spec.model_request import ModelRequest
from resnet_deploy.spec.training import Recipe
from resnet_deploy.training.schedule import learning_rate
from tests.support.cli import refused
from tests.support.training_images import folder
from tests.support.training_runs import CLASSES, made_up, weights

NET = ("--depth", 8, "--image-size", 16, "--threads", 1, "--recipe", "cifar-fast")
QUICK = ("--epochs", 1, "--batch-size", 8, "--precision", "float32")


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up(tmp_path_factory.mktemp("data") / "made-up.npz")


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("trained") / "run"
    result = train(*NET, *QUICK, "--data", data, "-o", out, "--json", "--licence", "MIT")
    return out, result


def train(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["train", *(str(argument) for argument in arguments)])


def test_json_on_stdout_stands_alone(trained: tuple[Path, Result]) -> None:
    out, result = trained
    assert result.exit_code == 0, result.output
    found = from_dict(TrainingResult, json.loads(result.stdout))
    assert len(found.epochs) == 1
    assert found.classes == CLASSES
    assert found.files["model"] == str(out / "model.safetensors")
    assert found.environment is not None
    assert found.environment.command.startswith("resnet-deploy")
    assert result.stderr.startswith("epoch 1/1  loss ")
    assert len(result.stderr.splitlines()) == 1


def test_the_weights_know_what_they_are(trained: tuple[Path, Result]) -> None:
    loaded = resolve(ModelRequest(), str(trained[0]))
    assert loaded.labels == CLASSES
    assert loaded.card is not None
    assert (loaded.card.licence, loaded.spec.image_size) == ("MIT", 16)


def test_the_report_offers_the_export(data: Path, trained: tuple[Path, Result]) -> None:
    out, _ = trained
    result = train(*NET, *QUICK, "--data", data, "-o", out, "--licence", "MIT", "--resume", "-q")
    assert result.exit_code == 0, result.output
    assert f"deploy it: resnet-deploy export --weights {out}/model.safetensors" in result.stdout
    assert result.stderr == ""


def test_quiet_means_no_line_per_epoch(data: Path, tmp_path: Path) -> None:
    result = train(*NET, *QUICK, "--data", data, "-o", tmp_path, "-q")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_a_signal_saves_and_says_how_to_go_on(
    number: signal.Signals, code: int, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
        signal.raise_signal(number)
        return learning_rate(recipe, step, steps_per_epoch)

    with monkeypatch.context() as patch:
        patch.setattr("resnet_deploy.training.loop.learning_rate", interrupted)
        result = train(*NET, *QUICK, "--data", data, "-o", tmp_path)
    assert result.exit_code == code
    assert result.stderr == ""
    saved = f"interrupted; saved in {tmp_path}/last.pt: --resume goes on from there"
    assert saved in result.stdout
    again = train(*NET, *QUICK, "--data", data, "-o", tmp_path, "--resume")
    assert again.exit_code == 0, again.output
    assert set(weights(tmp_path)) == {"model.safetensors"}


def test_ctrl_c_while_decoding_leaves_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "resnet_deploy.training.data.prepared_batches",
        lambda *_, **__: signal.raise_signal(signal.SIGINT),
    )
    result = train(*NET, *QUICK, "--data", data, "-o", tmp_path / "run")
    assert result.exit_code == 130
    assert result.stderr == "resnet-deploy: interrupted; no file was left half written\n"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--epochs", 0), ["epochs = 0 must be from 1"]),
        (("--lr", "inf"), ["the recipe cifar-fast: lr: inf is not a number"]),
        (("--lr", "nan"), ["the recipe cifar-fast: lr: nan is not a number"]),
        (("--batch-size", 4000), ["batch_size = 4000", "only 25 images"]),
        (("--freeze", 5), ["freeze = 5 leaves nothing to train"]),
        (("--recipe", "nowhere.toml"), ["no recipe is called 'nowhere.toml'", "cifar-fast"]),
        (("--num-classes", 7), ["--num-classes has 7 classes, the data 3"]),
        (("--qat",), ["--qat fine-tunes a trained network: name it with --weights"]),
        (("--resume", "--force"), ["choose one"]),
        (("--weights", "cifar10", "--zero-init"), ["zero_init is for new networks"]),
        (("--weights", "cifar10", "--qat", "--precision", "bfloat16"), ["computes in float32"]),
        (("--std", "0,1,1"), ["std must be positive numbers, not 0,1,1"]),
        (("--mean", "nan,0,0"), ["mean must be finite numbers"]),
        (("--licence", "my own"), ["licence"]),
        (("--weights", "nowhere.pth"), ["nowhere.pth does not exist"]),
        (("--depth", 9), ["no ResNet has depth 9"]),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_wrong_options(
    options: tuple[object, ...], words: list[str], data: Path, tmp_path: Path
) -> None:
    result = train(*NET, "--data", data, "-o", tmp_path / "run", *options)
    refused(result, *words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", ["--data", "-o"])
def test_data_and_folder_are_needed(option: str, data: Path, tmp_path: Path) -> None:
    given = {"--data": data, "-o": tmp_path}
    del given[option]
    (left,) = given.items()
    refused(train(*NET, *left), f"{option}", "is missing")


def test_weights_of_another_net(data: Path, tmp_path: Path) -> None:
    torch.save(build(resnet_spec(14)).state_dict(), tmp_path / "r14.pth")
    result = train(*NET, "--data", data, "-o", tmp_path / "run", "--weights", tmp_path / "r14.pth")
    refused(result, "r14.pth", "14")


def test_published_weights_are_for_the_paper_s_nets(data: Path, tmp_path: Path) -> None:
    options = ("--model", "a.b:net", "--weights", "imagenet", "--data", data, "-o", tmp_path)
    refused(train(*options), "not for --model factories")


def test_a_second_run_in_the_same_folder(data: Path, trained: tuple[Path, Result]) -> None:
    out, _ = trained
    before = weights(out)
    refused(train(*NET, *QUICK, "--data", data, "-o", out), "holds a run already", "--force")
    other = train(*NET, *QUICK, "--data", data, "-o", out, "--resume", "--seed", 1, "--lr", 1)
    refused(other, "seed 0, not 1", "recipe lr 0.2, not 1.0")
    assert weights(out) == before


def test_a_damaged_checkpoint(data: Path, trained: tuple[Path, Result], tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes((trained[0] / "last.pt").read_bytes()[:-100])
    result = train(*NET, *QUICK, "--data", data, "-o", tmp_path, "--resume")
    refused(result, "last.pt is damaged")


def test_a_file_in_place_of_the_folder(data: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    result = train(*NET, "--data", data, "-o", tmp_path / "run")
    refused(result, "is a file, not a folder")
    assert (tmp_path / "run").read_text() == "mine"


def flat(root: Path) -> None:
    (root / "train").rename(root / "a")
    (root / "test").rename(root / "b")


def one_class(root: Path) -> None:
    for name in "bc":
        for file in (root / "train" / name).iterdir():
            file.unlink()
        (root / "train" / name).rmdir()


def corrupt(root: Path) -> None:
    (root / "train" / "b" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")


def other_class(root: Path) -> None:
    (root / "test" / "d").mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(root / "test" / "d" / "1.png")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (flat, ["train"]),
        (one_class, ["one class only"]),
        (corrupt, ["train/b/1.png"]),
        (other_class, ["'d'"]),
    ],
)
def test_wrong_pictures(spoil: object, words: list[str], tmp_path: Path) -> None:
    root = folder(tmp_path / "pictures")
    spoil(root)  # type: ignore[operator]
    refused(train(*NET, "--data", root, "-o", tmp_path / "run"), *words)
    assert not (tmp_path / "run").exists()


def test_a_recipe_is_shown_to_be_changed_and_used(data: Path, tmp_path: Path) -> None:
    shown = train("--recipe", "cifar-fast", "--show-recipe")
    assert shown.exit_code == 0
    assert tomllib.loads(shown.stdout)["schedule"] == "one-cycle"
    mine = tmp_path / "mine.toml"
    mine.write_text(shown.stdout.replace("epochs = 30", "epochs = 6"))
    options = ("--recipe", mine, "--epochs", 1, "--batch-size", 8, "--json", tmp_path / "out.json")
    result = train(*NET, "--data", data, "-o", tmp_path / "run", *options)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "out.json").read_text())["recipe"]["lr"] == 0.2


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (("--depth", 20), "cifar-fast"),
        (("--depth", 18), "nvidia"),
        (("--depth", 18, "--image-size", 32), "cifar-fast"),
        (("--depth", 20, "--weights", "cifar10"), "transfer"),
        (("--depth", 20, "--weights", "cifar10", "--qat"), "qat"),
    ],
    ids=["small", "large", "small-images", "weights", "qat"],
)
def test_the_recipe_goes_with_the_task(options: tuple[object, ...], name: str) -> None:
    from resnet_deploy.training.recipe import recipe_text

    assert train(*options, "--show-recipe").stdout == recipe_text(name)


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (
            TrainingError("process 0 of 2 lost another one"),
            "error: process 0 of 2 lost another one",
        ),
        (ToldError("process 1 ends as another one failed"), None),
    ],
)
def test_a_signal_does_not_hide_why_a_training_ends(
    told: TrainingError, line: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*data: object, **words: object) -> None:
        try:
            raise told
        finally:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(api, "train", train)
    result = CliRunner().invoke(cli, ["train", "--data", "images", "-o", "run"])
    assert (result.exit_code, result.stderr) == (2, f"resnet-deploy: {line}\n" if line else "")
