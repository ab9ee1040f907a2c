"""Nets that give arrays, not classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from resnet_deploy.artifact.card import Card, WeightsSource
from resnet_deploy.artifact.onnx_file import save
from resnet_deploy.spec import Family, ModelSpec, OutputKind, OutputSpec
from tests.support.contracts import square
from tests.support.graphs import parse

SIDE = 128


def maps_model(path: Path, *, batch: str | int = "N") -> Path:
    """Two outputs, not in the order of their names: maps of which a part is recorded, and means.

    ``maps`` is ``(3, 128, 128)``: each channel of the picture times 2, 3 or 5. ``colours`` is
    ``(3,)``: the mean of each.
    """
    text = f"""g (float[{batch},3,{SIDE},{SIDE}] input)
            => (float[{batch},3,{SIDE},{SIDE}] maps, float[{batch},3] colours) {{
        maps = Mul(input, factors)
        colours = ReduceMean<axes = [2, 3], keepdims = 0>(maps)
    }}"""
    factors = np.array([2, 3, 5], np.float32).reshape(1, 3, 1, 1)
    card = Card(
        model=ModelSpec(family=Family.CUSTOM, num_classes=0, image_size=SIDE),
        preprocess=square(SIDE, mean=(0.5, 0.25, 0), std=(1, 1, 1)),
        weights=WeightsSource(kind="random", seed=0),
        output=OutputSpec(kind=OutputKind.FEATURES),
    )
    return save(parse(text, {"factors": factors}), path, card).path
