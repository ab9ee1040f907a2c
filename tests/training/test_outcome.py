import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.spec import InputContract
from resnet_deploy.spec.model_request import ModelRequest
from resnet_deploy.spec.training import Recipe
from resnet_deploy.training.checkpoint import Best
from resnet_deploy.training.data import open_training_data
from resnet_deploy.training.loop import Training
from resnet_deploy.training.network import new_network
from resnet_deploy.training.outcome import export_command, weights_card, write_outcome
from tests.support.training_runs import CLASSES, NET, RECIPE, SIZE, made_up, request


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Training:
    data = made_up(tmp_path_factory.mktemp("data") / "made-up.npz")
    preprocess = InputContract.for_size(SIZE)
    training = Training(
        trainable=new_network(NET, CLASSES, RECIPE, 0),
        data=open_training_data(data, preprocess),
        recipe=RECIPE,
    )
    for _ in range(2):
        training.train_epoch(lambda: False)
    return training


def outcome(training: Training, out: Path, best: int) -> dict[str, Path]:
    state = {key: torch.full_like(value, 1) for key, value in training.network.state_dict().items()}
    training.best = Best(epoch=best, top1=0.5, state=state)
    card = weights_card(training, request(Path("d"), out))
    return write_outcome(training, card, out)


def test_an_earlier_better_epoch_has_a_file_of_its_own(training: Training, tmp_path: Path) -> None:
    files = outcome(training, tmp_path, best=1)
    assert set(files) == {"model", "best"}
    best = resolve(ModelRequest(), str(files["best"]))
    assert best.card is not None
    assert (best.card.training["epochs"], best.card.accuracy[0].top1) == (1, 0.5)
    assert (best.module.state_dict()["fc.weight"] == 1).all()
    # The last epoch is as good in the run that goes on: nothing is left of an earlier answer.
    files = outcome(training, tmp_path, best=2)
    assert set(files) == {"model"}
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_only_the_leading_process_writes(training: Training, tmp_path: Path) -> None:
    card = weights_card(training, request(Path("d"), tmp_path))
    assert write_outcome(training, card, tmp_path, writes=False) == {}
    assert not list(tmp_path.iterdir())


def test_the_card_tells_how_it_was_trained(training: Training, tmp_path: Path) -> None:
    asked = request(Path("d"), tmp_path, licence="MIT", seed=3)
    card = weights_card(training, asked)
    assert card.labels == CLASSES
    assert card.licence == "MIT"
    assert card.recipe["batch_size"] == RECIPE.batch_size
    assert card.training["train_images"] == 25
    assert card.training["start"]["kind"] == "random"
    assert card.training["start"]["seed"] == 3
    assert card.accuracy[0].samples == card.accuracy[0].of == 9
    own = replace(asked, model=ModelRequest(model="mine:net"))
    kind = weights_card(training, own).training["start"]["kind"]
    assert kind == "factory"


def test_the_test_images_are_hashed_once(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request(Path("d"), tmp_path)
    weights_card(training, asked)

    def never(self: object) -> str:
        raise AssertionError

    monkeypatch.setattr(type(training.data.test.dataset), "fingerprint", never)
    assert weights_card(training, asked).accuracy


def test_the_command_that_deploys_it() -> None:
    asked = request(Path("my data"), Path("runs/r"), recipe=Recipe())
    words = shlex.split(export_command(asked, Path("runs/r/model.safetensors")))
    assert words[:4] == ["resnet-deploy", "export", "--weights", "runs/r/model.safetensors"]
    assert words[4:] == ["--calibration", "my data", "-o", "runs/r/deployed"]
    own = replace(asked, model=ModelRequest(model="mine:net"), weights="w", qat=True)
    words = shlex.split(export_command(own, Path("w")))
    assert words[2:] == ["--weights", "w", "--model", "mine:net", *words[-4:]]
    assert words[-4:] == ["--calibration", "my data", "-o", "runs/r/deployed"]
