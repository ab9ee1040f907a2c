"""A run ends in the same bits however often it was stopped, and its folder is never half right."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from resnet_deploy.errors import SpecError
from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.models.registry import build
from resnet_deploy.spec.model_request import ModelRequest
from resnet_deploy.spec.training import Precision
from resnet_deploy.training.checkpoint import Position, save_checkpoint
from tests.support.training_runs import (
    CLASSES,
    NET,
    RECIPE,
    STEPS,
    copied,
    lines,
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


@pytest.fixture(scope="module", params=list(RECIPES))
def undisturbed(
    data: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[str, Path]:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    run(_request(data, out, recipe=RECIPES[request.param], save_seconds=0.0))
    return request.param, out


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
        patch.setattr("resnet_deploy.training.run.save_checkpoint", save)
        with pytest.raises(KilledError):
            run(asked)
    # Steps 1 to 3, the end of the epoch; then the lines of later ones, and half a line.
    assert [position.step for position in saves] == [1, 2, 3, 0]
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"kind": "epoch", "steps": 6, "number": 2}\n{"kind": "ste')
    (tmp_path / ".resnet-deploy-0123456789abcdef.tmp").write_bytes(b"half")
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
    assert [epoch["steps"] for epoch in epochs] == [3, 6]
    assert {epoch["kind"] for epoch in epochs} == {"epoch"}
    assert loaded.card.accuracy[0].top1 == pytest.approx(epochs[-1]["test_top1"], abs=1e-6)


def test_step_lines_have_the_rate_of_the_classifier(data: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=5, batch_size=2, stage_decay=0.1)
    run(request(data, tmp_path, recipe=recipe))
    steps = [line for line in lines(tmp_path) if line["kind"] == "step"]
    assert [line["steps"] for line in steps] == [50]
    # After 49 of 60 steps of a cosine.
    assert steps[0]["lr"] == pytest.approx(0.05 * (1 + np.cos(np.pi * 49 / 60)) / 2)


def test_dropout_depends_on_the_seed_alone(data: Path, tmp_path: Path) -> None:
    net = ModelRequest(model="tests.support.training_nets:with_dropout", image_size=16)
    asked = request(data, tmp_path, model=net)
    for name, draws in (("one", 0), ("two", 5)):
        torch.rand(draws)
        state = torch.get_rng_state()
        run(replace(asked, out=tmp_path / name))
        assert torch.equal(torch.get_rng_state(), state)
    run(replace(asked, out=tmp_path / "three"), stop_at=4)
    run(replace(asked, out=tmp_path / "three", resume=True))
    assert same(tmp_path / "one", tmp_path / "two")
    assert same(tmp_path / "one", tmp_path / "three")


def test_weights_keep_their_preprocessing_at_another_size(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "first"
    run(request(data, out, mean=(0.1, 0.2, 0.3)))
    larger = request(data, tmp_path / "second", model=ModelRequest(image_size=24))
    run(replace(larger, weights=str(out)))
    card = resolve(ModelRequest(), str(tmp_path / "second")).card
    assert card is not None
    assert (card.preprocess.mean, card.preprocess.height) == ((0.1, 0.2, 0.3), 24)


def test_int8_aware_runs_go_on_to_the_same_bits(data: Path, finished: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, ema=0.9, precision=Precision.AUTO)
    asked = request(data, tmp_path / "one", recipe=recipe, weights=str(finished), qat=True)
    result = run(asked)
    assert result.precision == "float32"
    asked = replace(asked, out=tmp_path / "two")
    run(asked, stop_at=2)
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


def test_what_a_start_was_assumed_to_want_is_what_the_run_trained_on(
    data: Path, tmp_path: Path
) -> None:
    start = tmp_path / "bare.pth"
    spec = replace(NET, num_classes=3).spec()
    torch.save(build(spec).state_dict(), start)
    assert resolve(NET, str(start)).preprocess.assumed
    run(request(data, tmp_path / "run", weights=str(start)))
    assert resolve(ModelRequest(), str(tmp_path / "run")).preprocess.assumed == ()
