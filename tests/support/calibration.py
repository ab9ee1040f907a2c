"""A net to calibrate and images to do it with, also for processes that tests start."""

from __future__ import annotations

import numpy as np
import onnx

from resnet_deploy.data.arrays import array_dataset
from resnet_deploy.data.calibration import CalibrationImages
from tests.support.contracts import square
from tests.support.graphs import noise, parse

TENSORS = ["x", "r", "c"]


WEIGHTS = {"w": noise(16, 3, 3, 3) / 5, "v": noise(16, 16, 3, 3, seed=1) / 12}


def model(batch: str = "N") -> onnx.ModelProto:
    text = f"""
    g (float[{batch},3,48,48] x) => (float[{batch},16,48,48] y) {{
      s = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w)
      r = Relu(s)
      c = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(r, v)
      y = Relu(c)
    }}
    """
    made: onnx.ModelProto = parse(text, WEIGHTS)
    return made


def calibration(count: int = 45, seed: int = 0) -> CalibrationImages:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 48, 48, 3), np.uint8)
    # Brighter and brighter, so that the ranges grow with almost every image.
    pixels = (pixels * np.linspace(0.1, 1, count)[:, None, None, None]).astype(np.uint8)
    return CalibrationImages(
        dataset=array_dataset("noise", pixels, None),
        indices=tuple(range(count)),
        preprocess=square(48),
        batch_size=7,
    )
