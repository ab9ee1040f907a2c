"""One training, step by step, without a folder."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from resnet_deploy.errors import SpecError, TrainingError
from resnet_deploy.spec import InputContract
from resnet_deploy.spec.training import Augment, Precision, Recipe
from resnet_deploy.training.batches import training_batches
from resnet_deploy.training.data import TrainingData, open_training_data
from resnet_deploy.training.loop import Training
from resnet_deploy.training.network import new_network
from tests.support.training_runs import CLASSES, NET, RECIPE, SIZE, STEPS, made_up


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    path = made_up(tmp_path_factory.mktemp("data") / "made-up.npz")
    return open_training_data(path, InputContract.for_size(SIZE))


def training(data: TrainingData, recipe: Recipe = RECIPE, **changes: Any) -> Training:
    trainable = new_network(NET, CLASSES, recipe, 0)
    return Training(trainable=trainable, data=data, recipe=recipe, **changes)


def after(run: Training, steps: int) -> dict[str, torch.Tensor]:
    run.train_epoch(lambda: run.position.step == steps)
    return {key: value.clone() for key, value in run.network.state_dict().items()}


def test_a_step_is_sgd_on_the_mean_cross_entropy(data: TrainingData) -> None:
    recipe = replace(RECIPE, momentum=0.0, weight_decay=0.1, label_smoothing=0.1, warmup_epochs=1)
    net = new_network(NET, CLASSES, recipe, 0).module.train()
    batch = next(training_batches(data.train, recipe, seed=0, epoch=0))
    loss = F.cross_entropy(net(batch.images), batch.labels, label_smoothing=0.1)
    weight = net.get_parameter("fc.weight")
    (gradient,) = torch.autograd.grad(loss, [weight])
    rate = recipe.lr / STEPS
    found = after(training(data, recipe), 1)["fc.weight"]
    torch.testing.assert_close(found, weight - rate * (gradient + 0.1 * weight))


def test_mixup_weighs_the_loss_of_both_labels(data: TrainingData) -> None:
    recipe = replace(RECIPE, mixup=0.4)
    run = training(data, recipe)
    batch = next(training_batches(data.train, recipe, seed=0, epoch=0))
    assert batch.partners is not None
    target = batch.mix * F.one_hot(batch.labels, 3) + (1 - batch.mix) * F.one_hot(batch.partners, 3)
    net = new_network(NET, CLASSES, recipe, 0).module.train()
    expected = F.cross_entropy(net(batch.images), target.float()).item()
    after(run, 1)
    assert run.position.loss / run.position.images == pytest.approx(expected, rel=1e-5)


def test_the_gradient_is_clipped(data: TrainingData) -> None:
    recipe = replace(RECIPE, momentum=0.0, weight_decay=0.0, clip_norm=1e-3)
    start = new_network(NET, CLASSES, recipe, 0).module.state_dict()
    run = training(data, recipe)
    end = after(run, 1)
    names = [name for name, _ in run.network.named_parameters()]
    moved = math.sqrt(sum(float((end[key] - start[key]).square().sum()) for key in names))
    assert moved == pytest.approx(recipe.lr * 1e-3, rel=1e-3)


@pytest.mark.parametrize("channels_last", [True, False])
def test_the_memory_format_is_the_recipe_s(channels_last: bool, data: TrainingData) -> None:
    run = training(data, replace(RECIPE, channels_last=channels_last))
    weight = run.network.get_parameter("layer1.0.conv1.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last) is channels_last


def test_frozen_parts_do_not_move(data: TrainingData) -> None:
    recipe = replace(RECIPE, freeze=2, ema=0.5)
    start = new_network(NET, CLASSES, recipe, 0).module.state_dict()
    run = training(data, recipe)
    for _ in range(2):  # the evaluation in between must leave them frozen
        run.train_epoch(lambda: False)
    for state in (run.network.state_dict(), run.evaluated.state_dict()):
        for key, value in state.items():
            still = torch.equal(value, start[key])
            frozen = key.startswith(("conv1", "bn1", "layer1"))
            assert still if frozen else not still, key


def test_bfloat16_is_close_and_is_not_the_same(data: TrainingData) -> None:
    found = [
        after(training(data, precision=precision), 1)["fc.weight"]
        for precision in (Precision.FLOAT32, Precision.BFLOAT16)
    ]
    assert found[1].dtype == torch.float32
    assert not torch.equal(*found)
    torch.testing.assert_close(*found, rtol=0.1, atol=0.01)


def test_the_average_is_what_counts(data: TrainingData) -> None:
    run = training(data, replace(RECIPE, ema=0.9))
    run.train_epoch(lambda: False)
    assert run.evaluated is not run.network
    loss, top1 = run.evaluate(run.evaluated)
    assert (run.epochs[0].test_loss, run.epochs[0].test_top1) == (loss, top1)
    assert run.best is not None
    assert torch.equal(run.best.state["fc.weight"], run.evaluated.state_dict()["fc.weight"])


def test_an_epoch_counts_what_it_saw(data: TrainingData) -> None:
    run = training(data)
    run.train_epoch(lambda: False)
    (epoch,) = run.epochs
    assert (epoch.number, epoch.steps, epoch.images) == (1, STEPS, 8 * STEPS)
    assert 0 <= epoch.waited <= epoch.seconds
    assert (run.position.epoch, run.position.step, run.position.images) == (1, 0, 0)
    assert run.steps == STEPS
    assert run.network.training
    assert not run.finished


def test_the_best_epoch_is_the_first_of_equals(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = training(data, replace(RECIPE, epochs=4))
    for top1 in (0.5, 0.75, 0.75, 0.6):
        monkeypatch.setattr(Training, "evaluate", lambda *_, top1=top1: (1.0, top1))
        run.train_epoch(lambda: False)
    assert run.finished
    assert run.best is not None
    assert (run.best.epoch, run.best.top1) == (2, 0.75)


def test_a_test_loss_that_is_no_number(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    run = training(data)
    monkeypatch.setattr(Training, "evaluate", lambda *_: (math.nan, 0.0))
    with pytest.raises(TrainingError, match="not finite after epoch 1"):
        run.train_epoch(lambda: False)


@pytest.mark.parametrize("name", ["fc.bias", "bn1.running_var"])
def test_weights_that_are_no_numbers_make_no_checkpoint(name: str, data: TrainingData) -> None:
    run = training(data)
    after(run, 2)
    run.network.state_dict()[name].fill_(math.inf)
    with pytest.raises(TrainingError, match=rf"{name} is not finite in epoch 1, after step 2 of 3"):
        run.checkpoint({}, "{}")


def test_a_batch_larger_than_the_data(data: TrainingData) -> None:
    with pytest.raises(SpecError, match=r"batch_size = 4000, but .* only 25 images"):
        training(data, replace(RECIPE, batch_size=4_000))


def test_it_learns(data: TrainingData) -> None:
    recipe = replace(RECIPE, epochs=3, lr=0.1, augment=Augment.NONE)
    run = training(data, recipe)
    while not run.finished:
        run.train_epoch(lambda: False)
    assert run.epochs[-1].train_loss < run.epochs[0].train_loss
    assert run.epochs[-1].test_top1 > 0.6
