"""A run ends in the same bits however often it was stopped, and its folder is never half right."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from resnet_deploy.errors import (
    ArtifactError,
    CheckpointError,
    DatasetError,
    SpecError,
    TrainingError,
)
from resnet_deploy.models.checkpoint import resolve
from resnet_deploy.models.request import ModelRequest
from resnet_deploy.spec.training import Augment, Precision
from resnet_deploy.train.checkpoint import Position, load_checkpoint, save_checkpoint
from tests.train.runs import (
    CLASSES,
    NET,
    RECIPE,
    STEPS,
    copied,
    lines,
    made_up,
    request,
    run,
    same,
    weights,
)

EVERYTHING = replace(
    RECIPE,
    ema=0.9,
    mixup=0.4,
    precision=Precision.BFLOAT16,
    freeze=1,
    clip_norm=0.5,
    nesterov=True,
    label_smoothing=0.1,
    stage_decay=0.8,
    decay_norms=False,
    zero_init=True,
)
RECIPES = {"plain": RECIPE, "everything": EVERYTHING}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up(tmp_path_factory.mktemp("data") / "made-up.npz")


@pytest.fixture(scope="module", params=list(RECIPES))
def undisturbed(
    data: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[str, Path]:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    run(_request(data, out, recipe=RECIPES[request.param], save_seconds=0.0))
    return request.param, out


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "run"
    run(_request(data, out))
    return out


_request = request


@pytest.mark.parametrize("step", range(1, 2 * STEPS + 1))
def test_a_run_stopped_at_any_step_goes_on_to_the_same_bits(
    step: int, undisturbed: tuple[str, Path], data: Path, tmp_path: Path
) -> None:
    name, expected = undisturbed
    asked = request(data, tmp_path, recipe=RECIPES[name])
    first = run(asked, stop_at=step)
    assert first.interrupted == "SIGINT"
    assert len(first.epochs) == (step - 1) // STEPS
    assert not (tmp_path / "model.safetensors").exists()
    # The weights have moved on since the last evaluation.
    card = resolve(ModelRequest(), str(tmp_path / "last.pt")).card
    assert card is not None
    assert card.accuracy == ()
    second = run(replace(asked, resume=True))
    assert second.interrupted is None
    assert same(tmp_path, expected)


def test_a_run_goes_on_from_a_save_in_the_middle_as_after_a_kill(
    data: Path, tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    saves: list[Position] = []

    def save(path: Path, checkpoint: Any) -> None:
        if len(saves) == 4:
            raise KilledError
        saves.append(checkpoint.position)
        save_checkpoint(path, checkpoint)

    asked = request(data, tmp_path, save_seconds=0.0)
    with monkeypatch.context() as patch:
        patch.setattr("resnet_deploy.train.run.save_checkpoint", save)
        with pytest.raises(KilledError):
            run(asked)
    # Steps 1 to 3, the end of the epoch; then the lines of later ones, and half a line.
    assert [one.step for one in saves] == [1, 2, 3, 0]
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"kind": "epoch", "steps": 6, "number": 2}\n{"kind": "ste')
    (tmp_path / ".last.pt.abc.tmp").write_bytes(b"half")
    run(replace(asked, resume=True))
    assert same(tmp_path, finished)
    assert not list(tmp_path.glob(".*"))


def test_the_line_of_an_epoch_whose_state_was_not_saved_is_written_once(
    data: Path, tmp_path: Path, finished: Path
) -> None:
    # Stopped after the last step of the epoch, before its evaluation; the line is there already.
    asked = request(data, tmp_path)
    run(asked, stop_at=STEPS)
    epoch = next(line for line in (finished / "metrics.jsonl").read_text().splitlines())
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write(epoch + "\n")
    run(replace(asked, resume=True))
    assert same(tmp_path, finished)


def test_a_finished_run_only_writes_its_outcome_again(data: Path, finished: Path, tmp_path: Path):
    out = copied(finished, tmp_path / "run")
    before = (out / "last.pt").read_bytes()
    for name in weights(out):
        (out / name).unlink()
    result = run(request(data, out, resume=True))
    assert len(result.epochs) == RECIPE.epochs
    assert same(out, finished)
    assert (out / "last.pt").read_bytes() == before


def test_the_result_names_what_was_written(data: Path, finished: Path) -> None:
    loaded = resolve(ModelRequest(), str(finished))
    assert loaded.labels == CLASSES
    assert loaded.card is not None
    assert loaded.card.accuracy[0].samples == 9
    assert loaded.card.training["epochs"] == RECIPE.epochs
    assert json.loads((finished / "run.json").read_text())["command"]
    epochs = lines(finished)
    assert [one["steps"] for one in epochs] == [3, 6]
    assert {one["kind"] for one in epochs} == {"epoch"}
    assert loaded.card.accuracy[0].top1 == pytest.approx(epochs[-1]["test_top1"], abs=1e-6)


def test_step_lines_have_the_rate_of_the_classifier(data: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=5, batch_size=2, stage_decay=0.1)
    run(request(data, tmp_path, recipe=recipe))
    steps = [one for one in lines(tmp_path) if one["kind"] == "step"]
    assert [one["steps"] for one in steps] == [50]
    # After 49 of 60 steps of a cosine.
    assert steps[0]["lr"] == pytest.approx(0.05 * (1 + np.cos(np.pi * 49 / 60)) / 2)


def test_dropout_depends_on_the_seed_alone(data: Path, tmp_path: Path) -> None:
    asked = request(data, tmp_path, model=ModelRequest(model=f"{__name__}:with_dropout"))
    asked = replace(asked, model=replace(asked.model, image_size=16))
    for name, draws in (("one", 0), ("two", 5)):
        torch.rand(draws)
        state = torch.get_rng_state()
        run(replace(asked, out=tmp_path / name))
        assert torch.equal(torch.get_rng_state(), state)
    run(replace(asked, out=tmp_path / "three"), stop_at=4)
    run(replace(asked, out=tmp_path / "three", resume=True))
    assert same(tmp_path / "one", tmp_path / "two")
    assert same(tmp_path / "one", tmp_path / "three")


def with_dropout(classes: int = 3) -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.5),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, classes),
    )


def with_seven() -> torch.nn.Module:
    return with_dropout(7)


def frozen() -> torch.nn.Module:
    return with_dropout().requires_grad_(False)


class TwoAnswers(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = with_dropout()

    def forward(self, x: torch.Tensor) -> Any:
        y = self.net(x)
        return (y, y) if self.training else y


class Narrow(TwoAnswers):
    def forward(self, x: torch.Tensor) -> Any:
        return self.net(x)[:, : 2 if self.training else 3]


class Refusing(TwoAnswers):
    def forward(self, x: torch.Tensor) -> Any:
        return self.net(x[:, : 2 if self.training else 3])


class Changing(torch.nn.Module):
    """A net whose code was changed between two runs."""

    wide = False

    def __init__(self) -> None:
        super().__init__()
        self.net = with_dropout()
        self.more = torch.nn.Linear(3, 3) if self.wide else torch.nn.Identity()

    def forward(self, x: torch.Tensor) -> Any:
        return self.more(self.net(x))


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
        (lambda path: path.write_bytes(b""), "is damaged"),
        (lambda path: torch.save({"state_dict": {}}, path), "no checkpoint of a training"),
        (lambda path: torch.save([1], path), "no checkpoint of a training"),
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


def test_a_factory_that_changed_since(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = ModelRequest(model=f"{__name__}:Changing", image_size=16)
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
    recipe = replace(RECIPE, lr=1e30)
    with pytest.raises(TrainingError, match=r"in epoch 1, (after )?step") as caught:
        run(request(data, tmp_path, recipe=recipe, save_seconds=seconds))
    assert "\n" not in str(caught.value)
    if seconds:
        assert "step 2 of 3 (lr 9.33e+29; the batch begins with made-up.npz" in str(caught.value)
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


def test_tensorboard_files_of_somebody_else_stay(data: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "tensorboard" / "events.out.tfevents.1"
    theirs.parent.mkdir()
    theirs.write_bytes(b"theirs")
    run(request(data, tmp_path, force=True), stop_at=1)
    assert theirs.read_bytes() == b"theirs"


def test_weights_keep_their_preprocessing_at_another_size(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "first"
    run(request(data, out, mean=(0.1, 0.2, 0.3)))
    larger = request(data, tmp_path / "second", model=ModelRequest(image_size=24))
    run(replace(larger, weights=str(out)))
    card = resolve(ModelRequest(), str(tmp_path / "second")).card
    assert card is not None
    assert (card.preprocess.mean, card.preprocess.crop) == ((0.1, 0.2, 0.3), 24)


def test_int8_aware_runs_go_on_to_the_same_bits(data: Path, finished: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, ema=0.9, precision=Precision.AUTO)
    asked = request(data, tmp_path / "one", recipe=recipe, weights=str(finished), qat=True)
    result = run(asked)
    assert (result.precision, "--calibration" in result.export) == ("float32", False)
    asked = replace(asked, out=tmp_path / "two")
    stopped = run(asked, stop_at=2)
    # Nothing is evaluated yet, but the ranges are settled.
    assert "--calibration" not in stopped.export
    run(replace(asked, resume=True))
    assert same(tmp_path / "one", tmp_path / "two")
    for path in (tmp_path / "two").glob("*.safetensors"):
        card = resolve(ModelRequest(), str(path)).card
        assert card is not None
        number = card.training["epochs"]
        assert card.int8_accuracy[0].top1 == round(result.epochs[number - 1].test_top1, 6)
        assert card.activation_ranges
    afresh = request(data, tmp_path / "three", weights=str(tmp_path / "two"))
    with pytest.raises(SpecError, match="leaves no BatchNorm to train with: add --qat"):
        run(afresh)


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
    return ModelRequest(model=f"{__name__}:{name}", image_size=16)


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
