from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.distributions import Normal, kl_divergence

from resnet_deploy.batchnorm_witness.batchnorm_inputs import (
    Moments,
    divergence,
    divergences,
    witnesses,
)


def norm(mean: torch.Tensor, variance: torch.Tensor, eps: float = 1e-5) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(len(mean), eps=eps).eval()
    layer.running_mean, layer.running_var = mean, variance
    return layer


def test_the_divergence_is_that_of_two_gaussians_with_epsilon() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 5, 6, 6, generator=generator) * 3 + 1
    layer = norm(torch.arange(5.0), torch.arange(1.0, 6.0), eps=0.1)
    seen = Moments()
    seen.add(x)
    flat = x.double().transpose(0, 1).flatten(1)
    given_to = Normal(flat.mean(1), (flat.var(1, correction=0) + 0.1).sqrt())
    assert layer.running_mean is not None
    assert layer.running_var is not None
    remembered = Normal(layer.running_mean.double(), (layer.running_var.double() + 0.1).sqrt())
    expected = kl_divergence(given_to, remembered).mean().item()
    assert divergence(seen, layer) == pytest.approx(expected, rel=1e-5)


@given(st.permutations(range(5)), st.integers(0, 100))
def test_the_order_and_size_of_batches_do_not_matter(order: list[int], seed: int) -> None:
    x = torch.randn(10, 3, 4, 4, generator=torch.Generator().manual_seed(seed)) + 5
    whole, parts = Moments(), Moments()
    whole.add(x)
    for part in order:
        parts.add(x[2 * part : 2 * part + 2])
    assert torch.allclose(whole.mean, parts.mean, rtol=1e-12)
    assert torch.allclose(whole.variance, parts.variance, rtol=1e-9)
    assert np.allclose(whole.variance, x.transpose(0, 1).flatten(1).var(1, correction=0), rtol=1e-3)


def test_dead_channels_do_not_count_and_nan_counts_in_full() -> None:
    layer = norm(torch.zeros(2), torch.tensor([0.0, 1.0]))
    silent = Moments()
    silent.add(torch.stack([torch.zeros(100), torch.tensor([-1.0, 1.0] * 50)], dim=1))
    assert divergence(silent, layer) == pytest.approx(0, abs=1e-6)
    broken = Moments()
    broken.add(torch.full((2, 2, 1, 1), torch.nan))
    assert divergence(broken, layer) == 1e9
    constant = Moments()
    constant.add(torch.ones(4, 2, 3, 3))
    assert 0 < divergence(constant, layer) < 1e6
    assert divergence(constant, norm(torch.ones(2), torch.tensor([0.0, 0.5]), eps=0.0)) < 1e9


def test_only_what_was_trained_is_a_witness() -> None:
    net = nn.Sequential(
        nn.BatchNorm2d(3),
        norm(torch.zeros(3), torch.full((3,), 1 - 1e-5)),  # folded and put back
        nn.BatchNorm2d(3, track_running_stats=False),
        norm(torch.zeros(3), torch.tensor([1.0, 2.0, 3.0])),
    )
    assert list(witnesses(net)) == ["3"]


def test_a_run_ends_behind_the_last_layer_that_is_asked_for_and_leaves_no_hook() -> None:
    calls = []

    class Counted(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            calls.append(len(x))
            return x

    layers = [norm(torch.arange(2.0) + i, torch.tensor([1.0, 2.0])) for i in range(3)]
    net = nn.Sequential(layers[0], layers[1], Counted(), layers[2]).eval()
    x = [torch.randn(4, 2, 3, 3), torch.randn(2, 2, 3, 3)]
    assert list(divergences(net, x, last="1")) == ["0", "1"]
    assert calls == []
    assert list(divergences(net, x)) == ["0", "1", "3"]
    assert calls == [4, 2]
    assert not any(layer._forward_pre_hooks for layer in layers)
    assert all(torch.equal(layer.running_var, torch.tensor([1.0, 2.0])) for layer in layers)  # type: ignore[arg-type]
