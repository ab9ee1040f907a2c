"""Small ONNX files of another tool, without a card, and pictures that they tell apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx

from resnet_deploy.data.arrays import array_dataset
from tests.support.graphs import parse

SIDE = 8


def foreign(
    path: Path,
    weight: Any,
    tail: str = "y = Identity(z)",
    *,
    names: str = "",
    outputs: str = "N, M",
) -> Path:
    """Write a net of the mean red, green and blue of a picture, times ``weight`` (3, values).

    ``tail`` makes the output y of the values z.
    """
    text = f"""net (float[N, 3, {SIDE}, {SIDE}] x) => (float[{outputs}] y) {{
        p = GlobalAveragePool(x)
        f = Flatten(p)
        z = Gemm(f, w)
        {tail}
    }}"""
    model = parse(text, {"w": np.asarray(weight, np.float32)}, opset=13)
    if names:
        onnx.helper.set_model_props(model, {"names": names})
    onnx.save(model, path)
    return path


def coloured(count: int = 30, *, classes: int = 3, labelled: bool = True) -> Any:
    """Return pictures that are red, green, blue, red, …, each in another shade."""
    pixels = np.full((count, SIDE, SIDE, 3), 20, np.uint8)
    labels = np.arange(count) % classes
    pixels[np.arange(count), :, :, labels] = (np.arange(count) * 3 + 100)[:, None, None]
    names = ("red", "green", "blue")[:classes]
    return array_dataset("colours", pixels, labels if labelled else None, names if labelled else ())
