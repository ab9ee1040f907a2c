"""Nets under names that nobody knows, read by the shapes and the order of their tensors."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from resnet_deploy.errors import CheckpointError
from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.loading.structure import by_structure
from resnet_deploy.models.layouts import State
from resnet_deploy.models.network import Network
from resnet_deploy.spec import Shortcut
from resnet_deploy.spec.model_request import ModelRequest
from tests.support.tutorial_nets import (
    blk_net,
    conv3_net,
    left_net,
    plain_chain,
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
        (plain_chain, "neither projections nor names say that it has shortcuts"),
    ],
)
def test_what_shapes_leave_open_is_refused(
    make: Callable[[], nn.Module], words: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError) as caught:
        load(make(), tmp_path)
    assert words in str(caught.value)
    assert "--model package.module:factory" in str(caught.value)


def test_d2ls_net_is_no_fastai_s(tmp_path: Path) -> None:
    """Its stages are children 1 to 3 of a Sequential; fastai's fourth is a stage as well."""
    net = conv3_net()
    state = {}
    places = {"conv1": "0", "b2": "2", "b3": "3", "b4": "4", "out": "7"}
    for key, tensor in net.state_dict().items():
        first, _, rest = key.partition(".")
        state[f"{places[first]}.{rest}"] = tensor
    torch.save(state, tmp_path / "net.pth")
    loaded = resolve(ModelRequest(), str(tmp_path / "net.pth"))
    assert worst(loaded.module, net) < 1e-5


def test_files_in_the_order_of_names_are_put_in_order(tmp_path: Path) -> None:
    net = left_net("longcut")
    state = {}
    for key, tensor in net.state_dict().items():
        number = re.sub(r"layer(\d)\.0", lambda m: f"body.{int(m[1]) + 7}", key)
        state[re.sub(r"^conv1", "begin", re.sub("^fc", "end", number))] = tensor.contiguous()
    save_file(state, tmp_path / "net.safetensors")
    loaded = resolve(ModelRequest(), str(tmp_path / "net.safetensors"))
    assert worst(loaded.module, net) < 1e-5
    assert "that layers follow each other as their names do" in loaded.assumption


def test_many_layers_of_many_widths_take_no_time() -> None:
    state: State = {}
    inputs, zero = 3, torch.zeros(())
    for n in range(400):
        state[f"a.{n}.conv.weight"] = zero.expand(16 + n, inputs, 3, 3)
        inputs = 16 + n
        state |= {
            f"a.{n}.bn.{leaf}": zero.expand(inputs)
            for leaf in ("weight", "bias", "running_mean", "running_var")
        }
    started = time.perf_counter()
    assert by_structure(state) is None or by_structure(state).trouble  # type: ignore[union-attr]
    assert time.perf_counter() - started < 2
