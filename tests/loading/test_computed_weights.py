"""Weights kept as parts, BatchNorms without a scale or folded: PyTorch's own values come back."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from resnet_deploy.errors import CheckpointError
from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.loading.computed_weights import with_computed_weights, with_scales
from resnet_deploy.models.batchnorm_statistics import batchnorm_statistics
from resnet_deploy.models.fold import fold_batchnorm
from resnet_deploy.models.registry import build
from resnet_deploy.spec import BlockKind, residual_spec, uniform_design
from resnet_deploy.spec.model_request import ModelRequest

SPEC = residual_spec(uniform_design(BlockKind.BASIC, (1, 1), base=4, num_classes=3), image_size=32)


def layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 5))


def apart(change: Callable[[nn.Module], nn.Module]) -> nn.Sequential:
    """Return two layers whose weights are kept in parts, and moved from where they began."""
    net = layers()
    for index in (0, 2):
        change(net[index])
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1.3).add_(0.01)
        net(torch.randn(2, 3, 4, 4))  # training mode: spectral norms take a step
    return net.eval()


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*spectral_norm.*:FutureWarning")
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (weight_norm, "weight normalisation"),
        (partial(weight_norm, dim=None), "weight normalisation"),  # type: ignore[arg-type]
        (partial(weight_norm, dim=1), "weight normalisation"),
        (parametrizations.weight_norm, "weight normalisation"),
        (spectral_norm, "spectral normalisation"),
        (parametrizations.spectral_norm, "spectral normalisation"),
        (partial(prune.random_unstructured, name="weight", amount=0.4), "pruning"),
        (partial(prune.random_unstructured, name="bias", amount=0.4), "pruning"),
    ],
)
def test_parts_give_what_pytorch_computes(
    change: Callable[[nn.Module], nn.Module], told: str
) -> None:
    net = apart(change)
    state, notices = with_computed_weights(net.state_dict())
    plain = layers().eval()
    plain.load_state_dict(state)
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(plain(x), net(x))
    assert len(notices) == 1
    assert told in notices[0]
    assert "and 1 more" in notices[0]


def test_parts_that_do_not_tell_are_refused() -> None:
    state = apart(parametrizations.orthogonal).state_dict()
    with pytest.raises(CheckpointError, match="remove_parametrizations"):
        with_computed_weights(state)
    with pytest.raises(CheckpointError, match=r"fc.weight is computed from others"):
        with_computed_weights({"fc.weight_g": torch.ones(2, 1)})
    with pytest.raises(CheckpointError, match=r"fc.weight is computed from others"):
        with_computed_weights({"fc.weight_orig": torch.ones(2), "fc.weight_mask": torch.ones(3)})


@pytest.mark.parametrize(
    "parts",
    [
        {"fc.weight_g": (2, 1), "fc.weight_v": (2, 3)},
        {"fc.weight_orig": (2, 3), "fc.weight_u": (2,), "fc.weight_v": (3,)},
        {"fc.weight_orig": (2, 3), "fc.weight_mask": (2, 3)},
    ],
)
@pytest.mark.parametrize("kind", [torch.float16, torch.float8_e4m3fn])
def test_parts_may_be_of_types_that_nothing_computes_with(
    parts: dict[str, tuple[int, ...]], kind: torch.dtype
) -> None:
    whole = {name: torch.ones(shape) for name, shape in parts.items()}
    expected, _ = with_computed_weights(whole)
    first = next(iter(parts))
    for narrow in (
        {**whole, first: whole[first].to(kind)},
        {k: v.to(kind) for k, v in whole.items()},
    ):
        state, _ = with_computed_weights(narrow)
        assert torch.equal(state["fc.weight"], expected["fc.weight"])


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_biases_in_front_of_batchnorms_may_be_narrow(kind: torch.dtype, tmp_path: Path) -> None:
    state = {
        key: tensor.to(kind) if tensor.is_floating_point() else tensor
        for key, tensor in build(SPEC, seed=1).state_dict().items()
    }
    plain = tmp_path / "plain.pth"
    torch.save(state, plain)
    biased = tmp_path / "biased.pth"
    torch.save({**state, "conv1.bias": torch.zeros(len(state["conv1.weight"])).to(kind)}, biased)
    x = torch.randn(2, 3, 32, 32)
    first, second = (resolve(ModelRequest(), str(path)) for path in (plain, biased))
    torch.testing.assert_close(first.module(x), second.module(x))


def test_a_batchnorm_without_affine_has_scale_one() -> None:
    norm = nn.BatchNorm2d(3, affine=False).eval()
    assert norm.running_mean is not None
    norm.running_mean.add_(1)
    whole = nn.BatchNorm2d(3).eval()
    whole.load_state_dict(
        {key.removeprefix("n."): t for key, t in with_scales(norm.state_dict(prefix="n.")).items()}
    )
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(whole(x), norm(x))


@pytest.mark.parametrize(
    ("eps", "dtype"),
    [
        *((None, torch.float32), (1e-3, torch.float32)),
        *((None, torch.float16), (None, torch.bfloat16), (None, torch.float8_e4m3fn)),
    ],
)
def test_a_folded_net_is_loaded_and_says_so(
    eps: float | None, dtype: torch.dtype, tmp_path: Path
) -> None:
    module = build(SPEC, seed=1)
    folded = fold_batchnorm(copy.deepcopy(module))[0].to(dtype).float()
    state = {
        key: tensor.to(dtype)
        for key, tensor in folded.state_dict().items()
        if ".bn" not in key and not key.startswith("bn1") and ".downsample.1." not in key
    }
    assert "conv1.bias" in state
    torch.save(state, tmp_path / "net.pth")
    loaded = resolve(ModelRequest(bn_eps=eps), str(tmp_path / "net.pth"))
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(loaded.module(x), folded(x), rtol=1e-5, atol=1e-5)
    assert "BatchNorms were folded" in loaded.assumption
    assert batchnorm_statistics(loaded.module) == {}
