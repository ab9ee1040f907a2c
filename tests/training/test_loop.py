"""One training, step by step, without a folder."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from resnet_deploy.errors import SpecError, TrainingError
from resnet_deploy.spec import Preprocess
from resnet_deploy.spec.training import Augment, Precision, Recipe
from resnet_deploy.training.batches import training_batches
from resnet_deploy.training.data import TrainingData, open_training_data
from resnet_deploy.training.loop import Training
from resnet_deploy.training.network import new_network
from tests.support.training_runs import CLASSES, NET, RECIPE, SIZE, STEPS, made_up


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    path = made_up(tmp_path_factory.mktemp("data") / "made-up.npz")
    return open_training_data(path, Preprocess.for_size(SIZE))


def training(data: TrainingData, recipe: Recipe = RECIPE, **changes: Any) -> Training:
    trainable = new_network(NET, CLASSES, recipe, 0)
    return Training(trainable=trainable, data=data, recipe=recipe, **changes)


def after(one: Training, steps: int) -> dict[str, torch.Tensor]:
    one.train_epoch(lambda: one.position.step == steps)
    return {key: value.clone() for key, value in one.network.state_dict().items()}


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
    one = training(data, recipe)
    batch = next(training_batches(data.train, recipe, seed=0, epoch=0))
    assert batch.partners is not None
    target = batch.mix * F.one_hot(batch.labels, 3) + (1 - batch.mix) * F.one_hot(batch.partners, 3)
    net = new_network(NET, CLASSES, recipe, 0).module.train()
    expected = F.cross_entropy(net(batch.images), target.float()).item()
    after(one, 1)
    assert one.position.loss / one.position.images == pytest.approx(expected, rel=1e-5)


def test_the_gradient_is_clipped(data: TrainingData) -> None:
    recipe = replace(RECIPE, momentum=0.0, weight_decay=0.0, clip_norm=1e-3)
    start = new_network(NET, CLASSES, recipe, 0).module.state_dict()
    one = training(data, recipe)
    end = after(one, 1)
    names = [name for name, _ in one.network.named_parameters()]
    moved = math.sqrt(sum(float((end[key] - start[key]).square().sum()) for key in names))
    assert moved == pytest.approx(recipe.lr * 1e-3, rel=1e-3)


@pytest.mark.parametrize("channels_last", [True, False])
def test_the_memory_format_is_the_recipe_s(channels_last: bool, data: TrainingData) -> None:
    one = training(data, replace(RECIPE, channels_last=channels_last))
    weight = one.network.get_parameter("layer1.0.conv1.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last) is channels_last


def test_frozen_parts_do_not_move(data: TrainingData) -> None:
    recipe = replace(RECIPE, freeze=2, ema=0.5)
    start = new_network(NET, CLASSES, recipe, 0).module.state_dict()
    one = training(data, recipe)
    for _ in range(2):  # the evaluation in between must leave them frozen
        one.train_epoch(lambda: False)
    for state in (one.network.state_dict(), one.evaluated.state_dict()):
        for key, value in state.items():
            still = torch.equal(value, start[key])
            frozen = key.startswith(("conv1", "bn1", "layer1"))
            assert still if frozen else not still, key


def test_bfloat16_is_close_and_is_not_the_same(data: TrainingData) -> None:
    found = [
        after(training(data, precision=one), 1)["fc.weight"]
        for one in (Precision.FLOAT32, Precision.BFLOAT16)
    ]
    assert found[1].dtype == torch.float32
    assert not torch.equal(*found)
    torch.testing.assert_close(*found, rtol=0.1, atol=0.01)


def test_the_average_is_what_counts(data: TrainingData) -> None:
    one = training(data, replace(RECIPE, ema=0.9))
    one.train_epoch(lambda: False)
    assert one.evaluated is not one.network
    loss, top1 = one.evaluate(one.evaluated)
    assert (one.epochs[0].test_loss, one.epochs[0].test_top1) == (loss, top1)
    assert one.best is not None
    assert torch.equal(one.best.state["fc.weight"], one.evaluated.state_dict()["fc.weight"])


def test_an_epoch_counts_what_it_saw(data: TrainingData) -> None:
    one = training(data)
    one.train_epoch(lambda: False)
    (epoch,) = one.epochs
    assert (epoch.number, epoch.steps, epoch.images) == (1, STEPS, 8 * STEPS)
    assert 0 <= epoch.waited <= epoch.seconds
    assert (one.position.epoch, one.position.step, one.position.images) == (1, 0, 0)
    assert one.steps == STEPS
    assert one.network.training
    assert not one.finished


def test_the_best_epoch_is_the_first_of_equals(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = training(data, replace(RECIPE, epochs=4))
    for top1 in (0.5, 0.75, 0.75, 0.6):
        monkeypatch.setattr(Training, "evaluate", lambda self, net, top1=top1: (1.0, top1))
        one.train_epoch(lambda: False)
    assert one.finished
    assert one.best is not None
    assert (one.best.epoch, one.best.top1) == (2, 0.75)


def test_a_test_loss_that_is_no_number(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    one = training(data)
    monkeypatch.setattr(Training, "evaluate", lambda self, net: (math.nan, 0.0))
    with pytest.raises(TrainingError, match="no number after epoch 1"):
        one.train_epoch(lambda: False)


@pytest.mark.parametrize("name", ["fc.bias", "bn1.running_var"])
def test_weights_that_are_no_numbers_make_no_checkpoint(name: str, data: TrainingData) -> None:
    one = training(data)
    after(one, 2)
    one.network.state_dict()[name].fill_(math.inf)
    with pytest.raises(TrainingError, match=rf"{name} is no number in epoch 1, after step 2 of 3"):
        one.checkpoint({}, "{}")


def test_a_batch_larger_than_the_data(data: TrainingData) -> None:
    with pytest.raises(SpecError, match=r"batch_size = 4000, but .* only 25 images"):
        training(data, replace(RECIPE, batch_size=4_000))


def test_it_learns(data: TrainingData) -> None:
    recipe = replace(RECIPE, epochs=3, lr=0.1, augment=Augment.NONE)
    one = training(data, recipe)
    while not one.finished:
        one.train_epoch(lambda: False)
    assert one.epochs[-1].train_loss < one.epochs[0].train_loss
    assert one.epochs[-1].test_top1 > 0.6
