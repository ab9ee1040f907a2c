from dataclasses import replace

import pytest
import torch
from torch import nn

from resnet_deploy.artifact.card import WeightsSource
from resnet_deploy.errors import SpecError
from resnet_deploy.models.blocks import BasicBlock, Bottleneck
from resnet_deploy.models.init import initialize_for_training
from resnet_deploy.models.network import Network
from resnet_deploy.models.registry import build
from resnet_deploy.models.resnet import ResNet
from resnet_deploy.spec import InputContract, Shortcut, resnet_spec
from resnet_deploy.spec.model_request import ModelRequest
from resnet_deploy.spec.training import Recipe
from resnet_deploy.training.network import (
    TrainableNetwork,
    new_network,
    parameter_groups,
    to_train_mode,
    trained_network,
)

CLASSES = ("a", "b", "c")
NET = ModelRequest(depth=8)


def loaded(labels: tuple[str, ...] = (), classes: int = 3) -> Network:
    spec = resnet_spec(8, num_classes=classes)
    source = WeightsSource(kind="file")
    return Network(
        module=build(spec),
        spec=spec,
        preprocess=InputContract.for_size(32),
        source=source,
        labels=labels,
        notices=("n",),
    )


def fresh(recipe: Recipe, seed: int = 0) -> TrainableNetwork:
    return new_network(NET, CLASSES, recipe, seed)


def test_a_new_network_is_drawn_from_its_seed() -> None:
    first, second, reseeded = (fresh(Recipe(), seed).module.state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["conv1.weight"], reseeded["conv1.weight"])
    assert first["fc.weight"].shape == (3, 64)
    # He et al., arXiv:1502.01852: a variance of 2 / fan_out.
    assert first["layer3.0.conv2.weight"].std() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    assert (first["layer1.0.bn1.weight"] == 1).all()


def test_zero_init_makes_blocks_the_identity() -> None:
    module = new_network(ModelRequest(depth=20), CLASSES, Recipe(zero_init=True), 0).module
    for name in ("layer1.0", "layer1.2", "layer2.1", "layer3.2"):
        block = module.get_submodule(name)
        assert isinstance(block, BasicBlock)
        assert (block.bn2.weight == 0).all()
        assert (block.bn1.weight == 1).all()
        x = torch.rand(2, block.conv1.in_channels, 8, 8)
        assert torch.equal(block.eval()(x), x)


@pytest.mark.parametrize("shortcut", list(Shortcut))
@pytest.mark.parametrize("depth", [20, 50], ids=["basic", "bottleneck"])
def test_zero_init_leaves_no_channel_without_a_gradient(depth: int, shortcut: Shortcut) -> None:
    module = build(resnet_spec(depth, shortcut=shortcut)).train()
    initialize_for_training(module, 0, zero_init=True)
    random = torch.Generator().manual_seed(0)
    images = torch.randn(8, 3, 64, 64, generator=random)
    module(images).square().sum().backward()
    for name, block in module.named_modules():
        if isinstance(block, BasicBlock | Bottleneck):
            last = block.bn3 if isinstance(block, Bottleneck) else block.bn2
            assert last.weight.grad is not None
            assert (last.weight.grad != 0).all(), name


def test_zero_init_leaves_plain_nets_alone() -> None:
    module = build(resnet_spec(8, plain=True))
    initialize_for_training(module, 0, zero_init=True)
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert all((layer.weight == 1).all() for layer in norms)


@pytest.mark.parametrize(
    ("labels", "classes", "kept"),
    [((), 3, True), (CLASSES, 3, True), (("a", "b", "d"), 3, False), ((), 10, False)],
    ids=["unnamed", "same", "other-names", "other-count"],
)
def test_the_head_is_new_where_the_classes_are(
    labels: tuple[str, ...], classes: int, kept: bool
) -> None:
    start = loaded(labels, classes)
    before = {key: value.clone() for key, value in start.module.state_dict().items()}
    trainable = trained_network(start, NET, CLASSES, Recipe(), seed=0)
    after = trainable.module.state_dict()
    assert trainable.spec.num_classes == 3
    assert after["fc.weight"].shape == (3, 64)
    assert torch.equal(before["fc.weight"][:3], after["fc.weight"]) is kept
    assert torch.equal(before["conv1.weight"], after["conv1.weight"])
    assert any("the head is new" in notice for notice in trainable.notices) is not kept
    assert trainable.notices[0] == "n"


def test_frozen_parts_keep_weights_and_statistics() -> None:
    trainable = fresh(Recipe(freeze=2))
    to_train_mode(trainable, Recipe(freeze=2))
    assert isinstance(trainable.module, ResNet)
    net = trainable.module
    frozen = {name for name, parameter in net.named_parameters() if not parameter.requires_grad}
    assert {name.split(".")[0] for name in frozen} == {"conv1", "bn1", "layer1"}
    assert net.bn1 is not None
    assert not net.bn1.training
    assert not net.get_submodule("layer1").training
    assert net.get_submodule("layer2").training
    assert net.fc.training
    groups = parameter_groups(trainable, Recipe(freeze=2))
    assert sum(len(group["params"]) for group in groups) == sum(
        parameter.requires_grad for parameter in net.parameters()
    )


def test_every_parameter_is_in_one_group_with_its_rate_and_decay() -> None:
    recipe = Recipe(stage_decay=0.5, decay_norms=False, weight_decay=0.1)
    trainable = fresh(recipe)
    names = {id(parameter): name for name, parameter in trainable.module.named_parameters()}
    found = {}
    for group in parameter_groups(trainable, recipe):
        for parameter in group["params"]:
            name = names.pop(id(parameter))
            found[name] = (group["scale"], group["weight_decay"])
    assert not names
    assert found["fc.weight"] == (1, 0.1)
    assert found["fc.bias"] == (1, 0)
    assert found["layer3.0.conv1.weight"] == (0.5, 0.1)
    assert found["layer1.0.bn2.weight"] == (0.125, 0)
    assert found["conv1.weight"] == (0.0625, 0.1)
    assert found["bn1.bias"] == (0.0625, 0)


def test_with_decay_norms_all_parameters_decay() -> None:
    groups = parameter_groups(fresh(Recipe()), Recipe())
    assert {group["weight_decay"] for group in groups} == {1e-4}
    assert {group["scale"] for group in groups} == {1}


def test_other_nets_have_one_rate_and_say_so() -> None:
    vgg = ModelRequest(model="vgg19", image_size=32)
    with pytest.raises(SpecError, match="freeze is for ResNets, and vgg19 is not one"):
        new_network(vgg, CLASSES, Recipe(freeze=1), 0)
    custom = ModelRequest(model=f"{__name__}:tiny", image_size=8)
    trainable = new_network(custom, CLASSES, Recipe(stage_decay=0.7), 0)
    assert trainable.notices == ("one rate for all of tiny: stage_decay is for ResNets",)
    assert {group["scale"] for group in parameter_groups(trainable, Recipe(stage_decay=0.7))} == {1}


@pytest.mark.parametrize("recipe", [Recipe(freeze=1), Recipe(stage_decay=0.7)])
def test_new_weights_that_hardly_learn_are_told(recipe: Recipe) -> None:
    assert [notice.split(",")[0] for notice in fresh(recipe).notices] == ["the weights are new"]
    assert fresh(Recipe()).notices == ()


def tiny() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 3))


@pytest.mark.parametrize("wanted", [2, 4])
def test_the_number_of_classes_is_the_data_s(wanted: int) -> None:
    request = replace(NET, num_classes=wanted)
    with pytest.raises(SpecError, match=f"--num-classes has {wanted} classes, the data 3"):
        new_network(request, CLASSES, Recipe(), 0)
    with pytest.raises(SpecError, match=f"--num-classes has {wanted} classes, the data 3"):
        trained_network(loaded(), request, CLASSES, Recipe(), 0)
