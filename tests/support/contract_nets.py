"""Tiny nets with input contracts unlike a usual one: what bundles must follow to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from resnet_deploy.artifact.card import Card, WeightsSource
from resnet_deploy.artifact.onnx_file import save
from resnet_deploy.spec import (
    ChannelOrder,
    Family,
    InputContract,
    InputFormat,
    Learned,
    ModelSpec,
    ResizeMode,
)
from tests.support.graphs import parse
from tests.support.tiny_model import COLOURS, save_colour_model

BGR_SQUASH = InputContract(
    height=48,
    width=64,
    resize=(48, 64),
    resize_mode=ResizeMode.SQUASH,
    interpolation="bicubic",
    channel_order=ChannelOrder.BGR,
    range=(0.0, 255.0),
    mean=(103.939, 116.779, 123.68),
    std=(1.0, 1.0, 1.0),
    learned={"mean": Learned.ASSUMED, "size": Learned.GRAPH, "std": Learned.ASSUMED},
)
"""As Caffe's nets, of which nobody told what is subtracted."""

GREY_PAD = InputContract(
    height=20,
    width=22,
    resize=(24, 24),
    resize_mode=ResizeMode.PAD,
    interpolation="box",
    channel_order=ChannelOrder.GREY,
    mean=(0.1307,),
    std=(0.3081,),
)
FLOAT_NHWC = InputContract(
    height=24,
    width=32,
    resize=(28, 40),
    interpolation="lanczos",
    range=(-1.0, 1.0),
    mean=(0.0, 0.125, -0.25),
    std=(1.0, 0.5, 0.75),
    format=InputFormat.FLOAT_NHWC,
)


def bgr_squash_net(path: Path) -> Path:
    """A net of BGR, 0 to 255 minus a mean, of squashed pictures."""
    return save_colour_model(path, preprocess=BGR_SQUASH, shape=("N", 3, 48, 64)).path


def grey_net(path: Path) -> Path:
    """A net with one channel; its third class is the likeliest of light pictures."""
    weights = np.array([[-1], [0.25], [1]])
    return save_colour_model(path, weights, preprocess=GREY_PAD, shape=("N", 1, 20, 22)).path


def float_nhwc_net(path: Path) -> Path:
    """A net of floats with the channels last: the mean of each is a logit."""
    text = """g (float[N,24,32,3] input) => (float[N,3] logits) {
        logits = ReduceMean<axes = [1, 2], keepdims = 0>(input)
    }"""
    card = Card(
        model=ModelSpec(family=Family.CUSTOM, num_classes=3, image_size=32),
        preprocess=FLOAT_NHWC,
        weights=WeightsSource(kind="random", seed=0),
        labels=COLOURS,
    )
    return save(parse(text), path, card).path


NETS: Mapping[str, Callable[[Path], Path]] = {
    "bgr-squash": bgr_squash_net,
    "grey": grey_net,
    "float-nhwc": float_nhwc_net,
}
