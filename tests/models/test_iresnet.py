"""An iResNet computes what insightface's ``iresnet.py`` does, from its own names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.models.registry import skeleton
from resnet_deploy.spec import BlockKind, Order, Stem, residual_spec, uniform_design
from resnet_deploy.spec.model_request import ModelRequest
from tests.support.states import State

WIDTHS = (4, 8)


def weights() -> State:
    """A block in each of two stages, behind which maps of 8x8 pixels have 2x2; 6 values."""
    torch.manual_seed(0)
    state: State = {}

    def conv(name: str, outputs: int, inputs: int, kernel: int) -> None:
        state[f"{name}.weight"] = torch.randn(outputs, inputs, kernel, kernel) / inputs

    def norm(name: str, channels: int) -> None:
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.{leaf}"] = torch.rand(channels) + 0.1

    conv("conv1", 4, 3, 3)
    norm("bn1", 4)
    state["prelu.weight"] = torch.rand(4)
    inputs = 4
    for stage, width in enumerate(WIDTHS, start=1):
        name = f"layer{stage}.0"
        norm(f"{name}.bn1", inputs)
        conv(f"{name}.conv1", width, inputs, 3)
        norm(f"{name}.bn2", width)
        state[f"{name}.prelu.weight"] = torch.rand(width)
        conv(f"{name}.conv2", width, width, 3)
        norm(f"{name}.bn3", width)
        conv(f"{name}.downsample.0", width, inputs, 1)
        norm(f"{name}.downsample.1", width)
        inputs = width
    norm("bn2", inputs)
    state["fc.weight"], state["fc.bias"] = torch.randn(6, inputs * 4), torch.randn(6)
    norm("features", 6)
    return state


def answer(state: State, x: Tensor, eps: float) -> Tensor:
    def norm(name: str, x: Tensor) -> Tensor:
        mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        return F.batch_norm(x, mean, variance, weight, bias, eps=eps)

    def conv(name: str, x: Tensor, stride: int = 1, padding: int = 1) -> Tensor:
        return F.conv2d(x, state[f"{name}.weight"], None, stride, padding)

    x = F.prelu(norm("bn1", conv("conv1", x)), state["prelu.weight"])
    for stage in range(1, len(WIDTHS) + 1):
        name = f"layer{stage}.0"
        y = norm(f"{name}.bn2", conv(f"{name}.conv1", norm(f"{name}.bn1", x)))
        y = norm(f"{name}.bn3", conv(f"{name}.conv2", F.prelu(y, state[f"{name}.prelu.weight"]), 2))
        x = y + norm(f"{name}.downsample.1", conv(f"{name}.downsample.0", x, 2, 0))
    flat = torch.flatten(norm("bn2", x), 1)
    return norm("features", F.linear(flat, state["fc.weight"], state["fc.bias"]))


@pytest.mark.parametrize("eps", [1e-5, 0.1])
def test_insightfaces_names_and_layers(tmp_path: Path, eps: float) -> None:
    state = weights()
    torch.save(state, tmp_path / "backbone.pth")
    network = resolve(ModelRequest(bn_eps=eps), str(tmp_path / "backbone.pth"))
    assert network.spec.image_size == 8
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(network.module.eval()(x), answer(state, x, eps))


def test_every_batchnorm_has_the_asked_epsilon() -> None:
    design = uniform_design(BlockKind.BASIC, (1, 1), base=4, num_classes=1)
    faces = replace(design, order=Order.IRESNET, head=(), embedding=6)
    module = skeleton(residual_spec(faces, image_size=8, stem=Stem.CIFAR, bn_eps=0.1))
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d)
    assert {layer.eps for layer in module.modules() if isinstance(layer, kinds)} == {0.1}
