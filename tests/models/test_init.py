from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from resnet_deploy.models.fold import fold_batchnorm
from resnet_deploy.models.init import initialize
from resnet_deploy.models.registry import build, skeleton
from resnet_deploy.spec import ModelSpec, Shortcut, resnet_spec


def inputs(size: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, size, size, generator=generator)


def test_seed_decides_everything_and_the_global_state_is_untouched() -> None:
    before = torch.get_rng_state()
    first, same, other = (build(resnet_spec(8), seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    for key, tensor in first.state_dict().items():
        assert torch.equal(tensor, same.state_dict()[key])
        if tensor.is_floating_point():
            assert not torch.equal(tensor, other.state_dict()[key])


def test_convolutions_are_he_initialised() -> None:
    module = skeleton(resnet_spec(18))
    initialize(module, 0)
    for conv in (m for m in module.modules() if isinstance(m, nn.Conv2d)):
        fan_out = conv.out_channels * conv.weight[0, 0].numel()
        assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.1)


def test_no_two_biases_are_equal_after_folding() -> None:
    folded, _ = fold_batchnorm(build(resnet_spec(18)))
    biases = [m.bias for m in folded.modules() if isinstance(m, nn.Conv2d)]
    seen = {tuple(bias.tolist()) for bias in biases if bias is not None}
    assert len(seen) == len(biases) == 20
    assert all(bias is not None and float(bias.detach().std()) > 0 for bias in biases)


@pytest.mark.parametrize(
    "spec",
    [
        resnet_spec(34, image_size=64),
        resnet_spec(34, plain=True, image_size=64),
        resnet_spec(50, shortcut=Shortcut.A, image_size=64),
        resnet_spec(152, image_size=32),
        resnet_spec(152, plain=True, image_size=64),
        resnet_spec(110),
        resnet_spec(110, plain=True),
    ],
    ids=lambda spec: f"{spec.name}-{spec.shortcut.value}",
)
def test_signal_neither_explodes_nor_dies(spec: ModelSpec) -> None:
    module = build(spec)
    with torch.no_grad():
        logits = module(inputs(spec.image_size))
        exact = module.double()(inputs(spec.image_size).double())
    largest = exact.abs().max()
    assert 0.05 < largest < 100
    # Inputs stay distinguishable, well above float32's rounding error.
    rounding = (logits - exact).abs().max() / largest
    apart = (exact[0] - exact[1]).abs().max() / largest
    assert rounding < 1e-5
    assert apart > 20 * rounding
