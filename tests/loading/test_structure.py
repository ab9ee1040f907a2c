"""Nets under names that nobody knows, read by the shapes and the order of their tensors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from resnet_deploy.errors import CheckpointError
from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.models.network import Network
from resnet_deploy.spec import Shortcut
from resnet_deploy.spec.model_request import ModelRequest
from tests.support.tutorial_nets import (
    blk_net,
    conv3_net,
    left_net,
    preactivated_net,
    widening_blk_net,
)


def load(net: nn.Module, folder: Path) -> Network:
    path = folder / "net.pth"
    torch.save({"net": net.state_dict(), "epoch": 3}, path)
    return resolve(ModelRequest(), str(path))


def worst(net: nn.Module, other: nn.Module) -> float:
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours, theirs = net(x), other(x)
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize("make", [blk_net, conv3_net, lambda: left_net("longcut")])
def test_tutorials_give_their_own_logits(make: Callable[[], nn.Module], tmp_path: Path) -> None:
    net = make()
    loaded = load(net, tmp_path)
    assert loaded.spec.shortcut is Shortcut.B
    assert worst(loaded.module, net) < 1e-5
    assert "read by structure, as basic blocks 1-1-1" in " ".join(loaded.notices)
    assert "that every stage but the first halves the maps" in loaded.assumption


def test_left_and_shortcut_are_a_layout(tmp_path: Path) -> None:
    net = left_net()
    loaded = load(net, tmp_path)
    assert loaded.notices == ()
    assert worst(loaded.module, net) < 1e-6


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (widening_blk_net, "its first block widens what the stem gives"),
        (lambda: conv3_net(relu_between=True), "another layer, perhaps ReLU"),
        (preactivated_net, "behind a convolution or in front of it can't be told"),
    ],
)
def test_what_shapes_leave_open_is_refused(
    make: Callable[[], nn.Module], words: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError) as caught:
        load(make(), tmp_path)
    assert words in str(caught.value)
    assert "--model package.module:factory" in str(caught.value)
