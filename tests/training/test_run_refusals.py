"""What a run refuses, and what ends one: one line, and nothing is lost."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from resnet_deploy.errors import (
    ArtifactError,
    CheckpointError,
    DatasetError,
    SpecError,
    TrainingError,
)
from resnet_deploy.runners.cpu import environment
from resnet_deploy.spec.model_request import ModelRequest
from resnet_deploy.spec.training import Augment, Precision
from resnet_deploy.training.checkpoint import load_checkpoint
from resnet_deploy.training.run import train
from tests.support.training_nets import Changing
from tests.support.training_runs import (
    NET,
    RECIPE,
    STEPS,
    at_step,
    copied,
    request,
    run,
    same,
    weights,
)

AVERAGED = replace(RECIPE, ema=0.9)


@pytest.fixture(scope="module")
def averaged(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped in its second epoch, with a moving average."""
    out = tmp_path_factory.mktemp("averaged") / "run"
    run(request(data, out, recipe=AVERAGED), stop_at=STEPS + 1)
    return out


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 1}, ["seed 0, not 1"]),
        ({"recipe": replace(RECIPE, lr=0.1, epochs=3)}, ["recipe epochs 2, not 3", "lr 0.05, not"]),
        ({"recipe": replace(RECIPE, augment=Augment.CROP)}, ["augment 'crop-flip', not 'crop'"]),
        ({"recipe": replace(RECIPE, precision=Precision.BFLOAT16)}, ["precision", "bfloat16"]),
        ({"model": replace(NET, depth=14)}, ["network depth"]),
        ({"std": (0.5, 0.5, 0.5)}, ["preprocessing std"]),
        ({"limit": 20}, ["data"]),
    ],
    ids=["seed", "recipe", "augment", "precision", "network", "std", "limit"],
)
def test_resume_names_every_option_that_differs(
    changes: dict[str, Any], words: list[str], data: Path, finished: Path, tmp_path: Path
) -> None:
    out = copied(finished, tmp_path / "run")
    before = {path: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(SpecError, match="holds another run") as caught:
        run(request(data, out, resume=True, **changes))
    assert all(word in str(caught.value) for word in words), caught.value
    assert {path: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "is damaged"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: torch.save({"state_dict": {}}, path), "not a checkpoint of a training"),
        (lambda path: torch.save([1], path), "not a checkpoint of a training"),
        (lambda path: torch.save({"format": 99}, path), "has format 99, this version reads 1"),
    ],
    ids=["cut", "empty", "other", "list", "format"],
)
def test_a_last_checkpoint_that_is_none(
    damage: Any, words: str, data: Path, finished: Path, tmp_path: Path
) -> None:
    out = copied(finished, tmp_path / "run")
    damage(out / "last.pt")
    before = (out / "last.pt").read_bytes()
    with pytest.raises(CheckpointError, match=words):
        run(request(data, out, resume=True))
    assert (out / "last.pt").read_bytes() == before


def _at(*place: Any, value: Any) -> Any:
    """Return what puts ``value`` at a place of a checkpoint."""

    def change(content: Any) -> None:
        for part in place[:-1]:
            content = content[part]
        content[place[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _at("settings", value=[1]),
        _at("settings", "seed", value=torch.ones(2)),
        _at("optimizer", value={}),
        _at("optimizer", "state", value=[1]),
        _at("optimizer", "state", value={"x": {}}),
        _at("optimizer", "state", 0, value={"momentum_buffer": "x"}),
        _at("optimizer", "state", 0, value={"momentum_buffer": torch.ones(3)}),
        _at("optimizer", "state", 99, value={"momentum_buffer": None}),
        _at("average", value=None),
        _at("average", value=[1]),
        _at("rng", value=None),
        _at("position", "epoch", value=-1),
        _at("position", "epoch", value=10**9),
        _at("position", "epoch", value=0.5),
        _at("position", "step", value=10**9),
        _at("position", "step", value=-1),
        _at("position", "loss", value="x"),
        _at("position", "images", value=0),
        _at("position", "seconds", value=-1e9),
        _at("best", value=None),
        _at("best", "top1", value=7.0),
        _at("best", "epoch", value=3),
        _at("best", "state", value=7),
        _at("best", "state", value={"fc.weight": torch.ones(2)}),
        _at("epochs", value=[]),
        _at("epochs", 0, "test_top1", value="7"),
        _at("epochs", 0, "number", value=2),
        lambda content: content["epochs"][0].update(test_top1=9.0),
        lambda content: content["epochs"].append(content["epochs"][0]),
        _at("crew", value=(0, -5)),
        _at("card", value=5),
        _at("more", value=5),
    ],
)
def test_a_moment_that_no_run_has_come_to(
    change: Any, data: Path, averaged: Path, tmp_path: Path
) -> None:
    out = copied(averaged, tmp_path / "run")
    content = torch.load(out / "last.pt", weights_only=False)
    change(content)
    torch.save(content, out / "last.pt")
    with pytest.raises(CheckpointError, match=r"does not fit .* any more|is damaged") as said:
        run(request(data, out, recipe=AVERAGED, resume=True))
    assert "\n" not in str(said.value)


def test_the_recipe_says_how_a_run_goes_on_and_not_its_file(
    data: Path, averaged: Path, tmp_path: Path
) -> None:
    """Uphill, or with another momentum, would be told as the run that was asked for."""
    ended = []
    for name in ("as it was", "changed"):
        out = copied(averaged, tmp_path / name)
        content = torch.load(out / "last.pt", weights_only=False)
        if name == "changed":
            for group in content["optimizer"]["param_groups"]:
                group |= {"maximize": True, "momentum": 0.1, "scale": None, "params": []}
        torch.save(content, out / "last.pt")
        run(request(data, out, recipe=AVERAGED, resume=True))
        ended.append(weights(out))
    assert ended[0] == ended[1] != {}


def test_a_factory_that_changed_since(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = ModelRequest(model="tests.support.training_nets:Changing", image_size=16)
    asked = request(data, tmp_path, model=net)
    run(asked, stop_at=1)
    monkeypatch.setattr(Changing, "wide", True)
    with pytest.raises(CheckpointError, match="does not fit Changing any more"):
        run(replace(asked, resume=True))


def test_a_full_disk_leaves_the_last_checkpoint(
    data: Path, tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request(data, tmp_path, save_seconds=0.0)
    run(asked, stop_at=2)
    before = (tmp_path / "last.pt").read_bytes()
    calls = []

    def fail(descriptor: int) -> None:
        calls.append(descriptor)
        # run.json and the metrics come first.
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(ArtifactError, match=r"last\.pt: No space left on device"):
            run(replace(asked, resume=True))
    assert (tmp_path / "last.pt").read_bytes() == before
    assert not list(tmp_path.glob(".*"))
    run(replace(asked, resume=True))
    assert same(tmp_path, finished)


@pytest.mark.parametrize("seconds", [0.0, 300.0])
def test_a_loss_that_is_no_number_names_epoch_step_and_batch(
    seconds: float, data: Path, tmp_path: Path
) -> None:
    # Weights grow 10^12 times a step; their squares are not float32 in the third.
    recipe = replace(RECIPE, lr=1e6, weight_decay=1e6)
    with pytest.raises(TrainingError, match=r"in epoch 1, (after )?step") as caught:
        run(request(data, tmp_path, recipe=recipe, save_seconds=seconds))
    assert "\n" not in str(caught.value)
    if seconds:
        assert "step 3 of 3 (lr 7.5e+05; the batch begins with made-up.npz" in str(caught.value)
        assert not (tmp_path / "last.pt").exists()
    else:
        for tensor in load_checkpoint(tmp_path / "last.pt").network.values():
            assert torch.isfinite(tensor).all()


def test_a_folder_with_a_run_is_not_touched(data: Path, finished: Path, tmp_path: Path) -> None:
    out = copied(finished, tmp_path / "run")
    before = {path: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(SpecError, match="holds a run already"):
        run(request(data, out))
    with pytest.raises(DatasetError):
        run(request(tmp_path / "nowhere", out, force=True))
    (out / "last.pt").rename(tmp_path / "last.pt")
    with pytest.raises(SpecError, match=r"holds model\.safetensors but no last\.pt"):
        run(request(data, out, resume=True))
    (tmp_path / "last.pt").rename(out / "last.pt")
    assert {path: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.skipif(os.name == "nt", reason="folders can't be locked there")
@pytest.mark.parametrize("changes", [{"resume": True}, {"force": True}], ids=str)
def test_a_folder_that_another_training_writes_to(
    changes: dict[str, Any], data: Path, finished: Path, tmp_path: Path
) -> None:
    asked = request(data, tmp_path / "run")
    said = []

    def start_another() -> None:
        with pytest.raises(SpecError) as caught:
            run(replace(asked, **changes))
        said.append(str(caught.value))

    train(asked, environment("made up"), progress=at_step(STEPS + 1, 8, start_another))
    assert said == [
        f"another command is writing to {asked.out}: wait for it, or choose another folder"
    ]
    assert same(asked.out, finished)
    run(replace(asked, force=True))  # the first one has left


def test_force_leaves_nothing_of_the_old_run(data: Path, finished: Path, tmp_path: Path) -> None:
    out = copied(finished, tmp_path / "run")
    (out / "best.safetensors").write_bytes(b"of the old run")
    (out / "tensorboard").mkdir()
    for name in ("events.out.tfevents.1", "mine.txt"):
        (out / "tensorboard" / name).write_bytes(b"")
    run(request(data, out, force=True, seed=5), stop_at=1)
    assert weights(out) == {}
    assert [path.name for path in (out / "tensorboard").iterdir()] == ["mine.txt"]
    assert load_checkpoint(out / "last.pt").settings["seed"] == 5
    assert (out / "metrics.jsonl").read_bytes() == b""


def test_tensorboard_files_of_other_programs_stay(data: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "tensorboard" / "events.out.tfevents.1"
    theirs.parent.mkdir()
    theirs.write_bytes(b"theirs")
    run(request(data, tmp_path, force=True), stop_at=1)
    assert theirs.read_bytes() == b"theirs"


def test_weights_in_the_folder_of_the_run_are_not_replaced(
    data: Path, finished: Path, tmp_path: Path
) -> None:
    out = copied(finished, tmp_path / "run")
    for start in (out, out / "model.safetensors"):
        with pytest.raises(SpecError, match="where the run would replace it"):
            run(request(data, out, weights=str(start), force=True))
    assert weights(out) == weights(finished)


def test_the_folder_must_be_one(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(ArtifactError, match="is a file, not a folder"):
            run(request(data, out))
    assert (tmp_path / "file").read_text() == "mine"


def custom(name: str) -> ModelRequest:
    return ModelRequest(model=f"tests.support.training_nets:{name}", image_size=16)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": replace(NET, num_classes=7)}, "--num-classes has 7 classes, the data 3"),
        ({"model": custom("with_seven")}, "with_seven has 7 classes, the data 3"),
        ({"model": custom("frozen")}, "nothing to train"),
        (
            {"model": custom("TwoAnswers")},
            "returns tuple in train mode: .* logits .8, 3. as",
        ),
        ({"model": custom("Narrow")}, r"returns \(8, 2\) in train mode"),
        ({"model": custom("Refusing")}, "can't be trained on batches .* to have 3 channels"),
        ({"recipe": replace(RECIPE, batch_size=26)}, "batch_size = 26, but .* has only 25 images"),
        ({"recipe": replace(RECIPE, freeze=5)}, "leaves nothing to train: resnet8 has 5 parts"),
        (
            {"recipe": replace(RECIPE, freeze=1), "model": custom("with_dropout")},
            "freeze is for ResNets",
        ),
        (
            {"recipe": replace(RECIPE, zero_init=True), "model": custom("with_dropout")},
            "zero_init is for the paper's nets",
        ),
        (
            {"recipe": replace(RECIPE, batch_size=1), "model": ModelRequest(depth=18)},
            "more than 1 value per channel",
        ),
    ],
    ids=[
        "num-classes",
        "factory",
        "frozen",
        "tuple",
        "narrow",
        "refusing",
        "batch",
        "freeze",
        "freeze-custom",
        "zero-init",
        "one-value",
    ],
)
def test_a_network_that_does_not_fit_writes_nothing(
    changes: dict[str, Any], words: str, data: Path, tmp_path: Path
) -> None:
    if words.startswith("more than"):
        changes = {**changes, "model": replace(changes["model"], image_size=32)}
    with pytest.raises(SpecError, match=words) as caught:
        run(request(data, tmp_path / "run", **changes))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "last.pt").exists()
