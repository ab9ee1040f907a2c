"""Nets whose Triton configuration is unlike a classifier's of one size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from resnet_deploy.artifact.card import Card, Step, WeightsSource
from resnet_deploy.artifact.onnx_file import save
from resnet_deploy.spec import (
    Family,
    InputContract,
    InputFormat,
    ModelSpec,
    OutputKind,
    OutputSpec,
)
from tests.support.contracts import square
from tests.support.graphs import parse


def top_2_model(path: Path) -> Path:
    """A net that names the two strongest of three colours."""
    text = """g (float[N,3,8,8] input) => (float[N,2] probabilities, int64[N,2] classes) {
        means = ReduceMean<axes = [2, 3], keepdims = 0>(input)
        shares = Softmax(means)
        probabilities, classes = TopK(shares, k)
    }"""
    card = Card(
        model=ModelSpec(family=Family.CUSTOM, num_classes=3, image_size=8),
        preprocess=square(8, mean=(0, 0, 0), std=(1, 1, 1)),
        weights=WeightsSource(kind="random", seed=0),
        output=OutputSpec(kind=OutputKind.TOP_K, k=2),
        labels=("red", "green", "blue"),
    )
    return save(parse(text, {"k": np.array([2])}), path, card).path


def resizing_model(
    path: Path, *, name: str = "input", options: Mapping[str, str] | None = None
) -> Path:
    """A net that takes pictures of any size: the mean of each colour, in grey levels.

    By its card tune found three instances of one thread best, with the session ``options``.
    """
    text = """g (uint8[N,H,W,3] input) => (float[N,3] logits) {
        floats = Cast<to = 1>(input)
        logits = ReduceMean<axes = [1, 2], keepdims = 0>(floats)
    }"""
    model = parse(text, {})
    model.graph.input[0].name = model.graph.node[0].input[0] = name
    preprocess = InputContract(
        resize=(8, 8), height=8, width=8, format=InputFormat.UINT8_NHWC, resize_in_graph=True
    )
    card = Card(
        model=ModelSpec(family=Family.CUSTOM, num_classes=3, image_size=8),
        preprocess=preprocess,
        weights=WeightsSource(kind="random", seed=0),
        labels=("red", "green", "blue"),
        steps=(
            Step(
                name="tune",
                options={"runner": "ort", "instances": 3, "threads": 1, "options": options or {}},
            ),
            Step(name="verdict"),
        ),
    )
    return save(model, path, card).path
