from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from resnet_deploy.models.fold import fold_batchnorm, fold_weights
from resnet_deploy.models.registry import build
from resnet_deploy.spec import ModelSpec, Shortcut, Stem, Variant, resnet_spec

SPECS = [
    resnet_spec(18),
    resnet_spec(18, stem=Stem.CIFAR, plain=True),
    resnet_spec(34, shortcut=Shortcut.A),
    resnet_spec(50, variant=Variant.V1),
    resnet_spec(18, shortcut=Shortcut.C),
    resnet_spec(20),
]


def randomized(norm: nn.Module, low: float = 0.5) -> nn.Module:
    assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    with torch.no_grad():
        norm.running_mean.normal_()
        norm.running_var.uniform_(low, 2)
        if norm.affine:
            norm.weight.normal_()
            norm.bias.normal_()
    return norm


def largest_difference(first: nn.Module, second: nn.Module, x: Tensor) -> float:
    with torch.no_grad():
        reference = first(x)
        difference = (second(x) - reference).abs().max() / reference.abs().max()
    return float(difference)


@given(
    groups=st.sampled_from([1, 2, 4]),
    stride=st.sampled_from([1, 2]),
    kernel=st.sampled_from([1, 3]),
    bias=st.booleans(),
    affine=st.booleans(),
    eps=st.sampled_from([1e-12, 1e-5, 1e-3, 1.0]),
    tiny_variance=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_folding_is_exact_in_float64(
    groups: int,
    stride: int,
    kernel: int,
    bias: bool,
    affine: bool,
    eps: float,
    tiny_variance: bool,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    conv = nn.Conv2d(4, 8, kernel, stride, kernel // 2, groups=groups, bias=bias)
    norm = randomized(nn.BatchNorm2d(8, eps=eps, affine=affine), 0.0 if tiny_variance else 0.5)
    if tiny_variance:
        assert norm.running_var is not None
        norm.running_var[:4] = 1e-14  # type: ignore[operator]
    net = nn.Sequential(conv, norm, nn.ReLU()).double().eval()
    folded, left = fold_batchnorm(net)
    assert left == ()
    assert isinstance(folded.get_submodule("1"), nn.Identity)
    assert largest_difference(net, folded, torch.randn(2, 4, 7, 7).double()) < 1e-12


def test_fold_weights_is_the_formula() -> None:
    weight, bias = fold_weights(
        torch.tensor([[[[2.0]]]]),
        torch.tensor([3.0]),
        mean=torch.tensor([1.0]),
        var=torch.tensor([3.0]),
        eps=1.0,
        gamma=torch.tensor([4.0]),
        beta=torch.tensor([5.0]),
    )
    assert (weight.dtype, weight.item(), bias.item()) == (torch.float64, 4.0, 9.0)


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.name}-{s.shortcut.value}")
def test_our_nets_fold_completely(spec: ModelSpec) -> None:
    net = build(spec)
    before = copy.deepcopy(net.state_dict())
    folded, left = fold_batchnorm(net)
    assert left == ()
    assert type(folded) is type(net)
    assert [n for n, _ in folded.named_modules()] == [n for n, _ in net.named_modules()]
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert not any(m.training for m in folded.modules())
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert largest_difference(net, folded, x) < 1e-5


@pytest.mark.parametrize(("kind", "dims"), [("1d", 1), ("3d", 3)])
def test_other_dimensions(kind: str, dims: int) -> None:
    conv = getattr(nn, f"Conv{kind}")(3, 4, 3)
    norm = randomized(getattr(nn, f"BatchNorm{kind}")(4))
    net = nn.Sequential(conv, norm).eval()
    folded, left = fold_batchnorm(net)
    assert left == ()
    assert largest_difference(net, folded, torch.randn(2, 3, *(5,) * dims)) < 1e-5


class Net(nn.Module):
    """A convolution, a BatchNorm, and one way of using them that must not be folded."""

    def __init__(self, use: str) -> None:
        super().__init__()
        self.use = use
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.bn = nn.BatchNorm2d(3)
        if use == "transposed":
            self.conv = nn.ConvTranspose2d(3, 3, 3, padding=1)  # type: ignore[assignment]
        elif use == "subclass":
            self.conv = StandardizedConv(3, 3, 3, padding=1)
        elif use == "statistics":
            self.bn = nn.BatchNorm2d(3, track_running_stats=False)
        elif use == "activated":
            self.bn = ActivatedNorm(3)
        elif use == "hook":
            self.conv.register_forward_pre_hook(lambda module, inputs: None)
        elif use == "shared":
            self.other = nn.Conv2d(3, 3, 3, padding=1)
            self.other.weight = self.conv.weight

    def forward(self, x: Tensor) -> Any:
        if self.use == "order":
            return self.conv(self.bn(x))
        if self.use == "relu":
            return self.bn(torch.relu(self.conv(x)))
        if self.use == "unused":
            return self.conv(x)
        if self.use == "untraceable" and x.sum() > 0:
            return self.bn(self.conv(x))
        y = self.conv(x)
        if self.use == "twice":
            return self.bn(self.conv(y))
        if self.use == "norm twice":
            return self.bn(self.bn(y))
        if self.use == "consumers":
            return self.bn(y) + y
        if self.use == "weight read":
            return self.bn(y) + self.conv.weight.sum()
        return self.bn(y) if self.use != "shared" else self.other(self.bn(y))


class StandardizedConv(nn.Conv2d):
    """A convolution that is more than its weights, as in BiT."""

    def forward(self, x: Tensor) -> Any:
        return self._conv_forward(x, self.weight - self.weight.mean(), self.bias)


class ActivatedNorm(nn.BatchNorm2d):
    """A BatchNorm that is more than its statistics, as in timm."""

    def forward(self, x: Tensor) -> Any:
        return super().forward(x).relu()


@pytest.mark.parametrize(
    ("use", "reason"),
    [
        ("order", "its input is x, not a convolution"),
        ("relu", "its input is relu, not a convolution"),
        ("unused", "it is never called as a module"),
        ("untraceable", "torch.fx can't trace the model"),
        ("twice", "its convolution is called 2 times"),
        ("norm twice", "it is called 2 times"),
        ("consumers", "its convolution feeds 2 consumers"),
        ("weight read", "its convolution shares its weight with other code"),
        ("shared", "its convolution shares its weight with other code"),
        ("transposed", "its input is a ConvTranspose2d, not a convolution"),
        ("subclass", "its input is a StandardizedConv, not a convolution that it folds into"),
        ("statistics", "it keeps no running statistics"),
        ("activated", "ActivatedNorm is not a plain BatchNorm"),
        ("hook", "its convolution has hooks"),
    ],
)
def test_what_cannot_be_folded_is_named_and_untouched(use: str, reason: str) -> None:
    net = Net(use).eval()
    if use != "statistics":
        randomized(net.bn)
    folded, left = fold_batchnorm(net)
    assert len(left) == 1
    assert left[0].startswith(f"bn: {reason}")
    assert "\n" not in left[0]
    x = torch.rand(2, 3, 6, 6)
    with torch.no_grad():
        assert torch.equal(net(x), folded(x))


def test_a_net_without_batchnorm_needs_no_trace() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    folded, left = fold_batchnorm(net)
    assert left == ()
    assert folded is not net


def test_threads_that_fold_at_once_leave_torch_as_it_was() -> None:
    call = nn.Module.__call__
    nets = [build(resnet_spec(8)).eval() for _ in range(2)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(fold_batchnorm, nets * 8))
    assert all(not left for _, left in found)
    assert nn.Module.__call__ is call
