"""The family by its names: trained from nothing, further from weights, and through int8 or not."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from resnet_deploy.errors import SpecError, UnsupportedGraphError
from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.models.init import initialize_for_training
from resnet_deploy.models.preactivation import PreActBlock
from resnet_deploy.models.registry import build
from resnet_deploy.models.resnet import ResNet
from resnet_deploy.spec import Shortcut, Stem
from resnet_deploy.spec.model_request import ModelRequest
from resnet_deploy.training.network import check_trainable
from tests.support.training_runs import (
    CLASSES,
    RECIPE,
    SIZE,
    STEPS,
    request,
    run,
    same,
)

ONE_EPOCH = replace(RECIPE, epochs=1)


def named(name: str, stem: Stem | None = None) -> ModelRequest:
    return ModelRequest(model=name, image_size=SIZE, stem=stem)


@pytest.mark.parametrize(
    ("model", "written"),
    [
        (named("seresnet8"), "seresnet8"),
        (named("ecaresnet8"), "ecaresnet8"),
        (named("resnet8d", Stem.IMAGENET), "resnet8d"),
        (named("resnet11d"), "resnet11d"),
        (named("resnetv2_11"), "resnetv2-11"),
        (named("resnext11_2x4d"), "resnext11-2x4d"),
        (named("wide_resnet10_2"), "wide-resnet10-2"),
        (named("resnetv2_8d"), "resnetv2-8d"),
        (replace(named("resnetblur8d"), shortcut=Shortcut.A), "resnet8"),
    ],
    ids=lambda value: getattr(value, "model", None),
)
def test_nets_are_trained_by_name_and_come_back_from_the_run(
    model: ModelRequest, written: str, data: Path, tmp_path: Path
) -> None:
    result = run(request(data, tmp_path / "run", model=model, recipe=ONE_EPOCH))
    assert result.model == written
    asked = replace(model, num_classes=len(CLASSES)).spec()
    again = resolve(ModelRequest(), str(tmp_path / "run"))
    assert again.spec == asked
    assert again.labels == CLASSES
    assert not again.assumed


def test_a_stopped_run_of_the_family_goes_on_to_the_same_bits(data: Path, tmp_path: Path) -> None:
    asked = request(data, tmp_path / "whole", model=named("seresnet8"))
    run(asked)
    stopped = replace(asked, out=tmp_path / "stopped")
    assert run(stopped, stop_at=STEPS + 1).interrupted == "SIGINT"
    run(replace(stopped, resume=True))
    assert same(tmp_path / "whole", tmp_path / "stopped")


def _state(head: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    module = build(replace(named("seresnet8"), num_classes=7).spec())
    body = {k: v for k, v in module.state_dict().items() if not k.startswith("fc.")}
    return body | head


MLP = {
    "fc.0.weight": torch.eye(16, 64),
    "fc.0.bias": torch.zeros(16),
    "fc.1.weight": torch.ones(16),
    "fc.1.bias": torch.zeros(16),
    "fc.1.running_mean": torch.zeros(16),
    "fc.1.running_var": torch.ones(16),
    "fc.4.weight": torch.eye(7, 16),
    "fc.4.bias": torch.zeros(7),
}


@pytest.mark.parametrize(
    ("head", "words", "linears"),
    [(MLP, "know 7 other classes than the data's 3", 2), ({}, "have none", 1)],
    ids=["mlp", "backbone"],
)
def test_the_last_layer_of_a_head_is_new(
    head: dict[str, torch.Tensor], words: str, linears: int, data: Path, tmp_path: Path
) -> None:
    torch.save(_state(head), tmp_path / "net.pth")
    asked = request(data, tmp_path / "run", weights=str(tmp_path / "net.pth"), recipe=ONE_EPOCH)
    result = run(replace(asked, model=ModelRequest(image_size=SIZE)))
    assert f"the head is new: the weights {words}" in result.notices
    again = resolve(ModelRequest(), str(tmp_path / "run"))
    assert isinstance(again.module, ResNet)
    layers = [layer for layer in again.module.fc.modules() if isinstance(layer, nn.Linear)]
    assert len(layers) == linears
    assert layers[-1].out_features == again.spec.num_classes == len(CLASSES)


def test_zero_init_silences_pre_activated_blocks() -> None:
    module = build(named("resnetv2_20").spec()).train()
    initialize_for_training(module, 0, zero_init=True)
    block = module.get_submodule("layer2.1")
    assert isinstance(block, PreActBlock)
    x = torch.rand(2, 32, 8, 8)
    assert torch.equal(block(x), x)
    module(torch.rand(4, 3, SIZE, SIZE)).square().sum().backward()
    assert block.conv2.weight.grad is not None
    assert (block.conv2.weight.grad != 0).any()


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("seresnet8", "squeeze-and-excitation"),
        ("ecaresnet8d", "efficient channel attention and average-pool shortcuts"),
        ("resnetv2_8", "BatchNorm in front of convolutions"),
        ("resnetblur8", "filtered halving"),
    ],
)
def test_qat_says_what_of_a_net_it_can_t_train(name: str, layers: str) -> None:
    spec = named(name).spec()
    check_trainable(spec, qat=False)
    with pytest.raises(UnsupportedGraphError, match=f"--qat can't train {layers}, which") as caught:
        check_trainable(spec, qat=True)
    assert "train without --qat" in str(caught.value)


def test_qat_refuses_before_any_image_is_read(tmp_path: Path) -> None:
    torch.save(_state(MLP), tmp_path / "net.pth")
    asked = request(tmp_path / "none", tmp_path / "run", weights=str(tmp_path / "net.pth"))
    with pytest.raises(UnsupportedGraphError, match="squeeze-and-excitation, which seresnet8 has"):
        run(replace(asked, model=ModelRequest(), qat=True))


@pytest.mark.parametrize("name", ["resnext50_32x4d", "wide_resnet50_2", "resnet50c", "vgg19"])
def test_qat_takes_what_has_convolutions_alone(name: str) -> None:
    check_trainable(ModelRequest(model=name).spec(), qat=True)


def test_faces_have_no_classes_to_learn(tmp_path: Path) -> None:
    asked = request(tmp_path / "none", tmp_path / "run", model=ModelRequest(model="iresnet18"))
    with pytest.raises(SpecError, match="iresnet18 gives an embedding"):
        run(asked)


def test_a_net_of_a_package_has_its_size_of_pictures(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "support" / "packages")
    model = ModelRequest(model="timm:tiny")
    result = run(request(data, tmp_path / "run", model=model, recipe=ONE_EPOCH))
    assert result.export.startswith("resnet-deploy export --weights ")
    assert "--model timm:tiny" in result.export
    again = resolve(model, str(tmp_path / "run"))
    assert (again.spec.image_size, again.spec.num_classes) == (24, len(CLASSES))
    sys.modules.pop("timm", None)
