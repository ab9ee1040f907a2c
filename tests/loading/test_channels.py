"""Nets of one, three and four input channels: told by their tensors, and what is fed to them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from resnet_deploy import api
from resnet_deploy.errors import CheckpointError, SpecError
from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.models.registry import build
from resnet_deploy.spec import ChannelOrder, InputOptions, Learned, resnet_spec
from resnet_deploy.spec.model_request import ModelRequest
from tests.support import cli
from tests.support.states import state_of


@pytest.mark.parametrize(
    ("channels", "order"),
    [(1, ChannelOrder.GREY), (3, ChannelOrder.RGB), (4, ChannelOrder.RGBA)],
)
def test_the_first_convolution_tells(tmp_path, channels, order):
    spec = resnet_spec(8, in_channels=channels)
    torch.save(state_of(spec), tmp_path / "net.pth")
    network = resolve(ModelRequest(), str(tmp_path / "net.pth"))
    assert network.spec.in_channels == channels
    assert network.preprocess.channel_order is order
    assert len(network.preprocess.mean) == channels
    images = torch.rand(2, channels, 32, 32)
    with torch.no_grad():
        assert torch.equal(network.module(images), build(spec, seed=1)(images))


def test_of_a_grey_net_mean_and_std_are_assumed_and_named(tmp_path):
    torch.save(state_of(resnet_spec(8, in_channels=1)), tmp_path / "net.pth")
    network = resolve(ModelRequest(), str(tmp_path / "net.pth"))
    assert (network.preprocess.mean, network.preprocess.std) == ((0.449,), (0.226,))
    assert {"mean", "std"} <= set(network.preprocess.assumed)
    assert "channel_order" not in network.preprocess.assumed
    assert "--mean 0.449 --std 0.226" in network.assumption


def test_a_contradiction_and_counts_that_no_picture_has(tmp_path):
    torch.save(state_of(resnet_spec(8, in_channels=1)), tmp_path / "grey.pth")
    with pytest.raises(CheckpointError, match="has 1 input channel, not 3: drop --in-channels"):
        api.load(tmp_path / "grey.pth", in_channels=3)
    state = state_of(resnet_spec(8))
    state["conv1.weight"] = torch.zeros(16, 12, 3, 3)
    torch.save(state, tmp_path / "twelve.pth")
    with pytest.raises(CheckpointError, match="12 channels, which are none of 1"):
        api.load(tmp_path / "twelve.pth")
    cli.refused(cli.run("export", "--depth", 8, "--in-channels", 2), "--in-channels 2 is none of 1")


def test_an_order_of_other_channels_is_refused():
    with pytest.raises(SpecError, match=r"--channel-order grey is of 1 channels, and .* takes 3"):
        api.load(depth=8, input_options=InputOptions(channel_order="grey"))
    with pytest.raises(SpecError, match="published for --in-channels 1"):
        api.load("imagenet", depth=18, in_channels=1)


def test_a_recipe_of_three_channels_says_nothing_of_a_grey_nets_values(tmp_path):
    torch.save(state_of(resnet_spec(18, num_classes=3, in_channels=1)), tmp_path / "model.pth")
    (tmp_path / "config.json").write_text(
        '{"architecture": "resnet18", "pretrained_cfg": {"input_size": [3, 48, 48], '
        '"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5], "crop_pct": 0.5}}'
    )
    preprocess = resolve(ModelRequest(), str(tmp_path / "model.pth")).preprocess
    assert preprocess.resize == (96, 96)
    assert preprocess.learned["resize"] is Learned.CONFIG
    assert preprocess.mean == (0.449,)
    assert "mean" in preprocess.assumed


def grey_net() -> nn.Module:
    """Called as a factory."""
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


def test_a_factory_tells_by_running():
    network = resolve(ModelRequest(model=f"{__name__}:grey_net", image_size=16))
    assert network.spec.in_channels == 1
    assert network.preprocess.channel_order is ChannelOrder.GREY
    with pytest.raises(SpecError, match="other channels by --in-channels"):
        api.load(model=f"{__name__}:grey_net", image_size=16, in_channels=4)
