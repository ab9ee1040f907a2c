from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from resnet_deploy.bundles.bundling import pack
from resnet_deploy.bundles.wording import assumption, preparation
from resnet_deploy.spec import (
    BundleTarget,
    ChannelOrder,
    InputContract,
    InputFormat,
    InputOptions,
    ResizeMode,
    Told,
)
from tests.support.contract_nets import BGR_SQUASH, FLOAT_NHWC, GREY_PAD, bgr_squash_net
from tests.support.foreign import foreign


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            replace(InputContract.for_size(32), mean=(0.5,) * 3, std=(0.25,) * 3),
            "resized so that its shorter side has 32 pixels (bilinear, antialiased), cropped to "
            "the 32x32 in the middle, and grey levels become 0 to 1, normalised with mean 0.5 and "
            "std 0.25",
        ),
        (
            replace(BGR_SQUASH, mean=(0.0,) * 3),
            "squashed to 48x64 pixels (bicubic, antialiased), put in the order blue, green, red, "
            "and grey levels become 0 to 255",
        ),
        (
            replace(GREY_PAD, format=InputFormat.UINT8_NCHW),
            "made grey as Pillow's mode L, resized so that it fits into 24x24 pixels, on black "
            "(box, antialiased), cropped to the 20x22 in the middle, and its bytes are handed "
            "over: the network normalises them itself",
        ),
        (
            replace(FLOAT_NHWC, interpolation="nearest", mean=(0.0,) * 3, std=(1.0,) * 3),
            "resized so that it covers 28x40 pixels (nearest), cropped to the 24x32 in the "
            "middle, and grey levels become -1 to 1",
        ),
        (
            InputContract(
                channel_order=ChannelOrder.BGR,
                format=InputFormat.UINT8_NHWC,
                resize_in_graph=True,
            ),
            "put in the order blue, green, red, given to the network in its own size: the network "
            "resizes and normalises it itself",
        ),
        (
            InputContract(resize=(64, 64), height=64, width=64, resize_mode=ResizeMode.PAD),
            "resized so that it fits into 64x64 pixels, on black (bilinear, antialiased), and grey "
            "levels become 0 to 1, normalised with mean 0.485 0.456 0.406 and std 0.229 0.224 "
            "0.225",
        ),
    ],
    ids=["crop", "squash", "grey", "covered", "in graph", "pad"],
)
def test_preparation_is_said_in_words(spec, words):
    assert preparation(spec) == words


def test_what_is_assumed_is_said_with_the_options_that_say_it():
    assert assumption(GREY_PAD) == ""
    said = assumption(InputContract().as_assumed(["size", "resize_mode", "mean"]))
    assert said.startswith("size, mean, resize mode: nothing told them.")
    assert "`--image-size --mean --resize-mode`" in said


@pytest.mark.parametrize("target", list(BundleTarget))
def test_no_bundle_is_silent_about_what_is_assumed(target, tmp_path):
    pack(bgr_squash_net(tmp_path / "net.onnx"), target, tmp_path / "b")
    told = json.loads((tmp_path / "b/manifest.json").read_text())["input"]
    readme = " ".join((tmp_path / "b/README.md").read_text().split())
    assert told["assumed"] == ["mean", "std"]
    assert told["learned"] == {"mean": "assumed", "size": "graph", "std": "assumed"}
    assert told["pictures"].startswith("BGR 0 to 255, squashed to 48x64 bicubic, mean 103.939")
    assert "**Assumed:** mean, std: nothing told them." in readme
    assert preparation(BGR_SQUASH) in readme


def test_what_the_user_says_of_a_foreign_file_is_in_its_bundle(tmp_path):
    model = foreign(tmp_path / "net.onnx", np.eye(3))
    options = InputOptions(channel_order="BGR", range="0-255", resize_mode="squash", resize=8)
    pack(model, BundleTarget.CPP, tmp_path / "b", told=Told(input_options=options))
    told = json.loads((tmp_path / "b/manifest.json").read_text())["input"]
    assert (told["channel_order"], told["range"]) == ("BGR", [0, 255])
    assert (told["resize_mode"], told["resize"]) == ("squash", [8, 8])
    assert told["assumed"] == ["interpolation"]
    code = (tmp_path / "b/include/resnet/contract.hpp").read_text()
    assert "ChannelOrder::bgr," in code
    assert "/* divisor */ static_cast<float>(1.0)," in code
