"""What a chart shows, measured: the values of one layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx

import resnet_deploy as rd
from resnet_deploy.data.calibration import calibration_images
from resnet_deploy.quantization.calibrate import observe
from resnet_deploy.quantization.histogram import BINS
from resnet_deploy.quantization.ranges import choose_range
from resnet_deploy.spec import CalibrationMethod

_IMAGES, _BARS = 128, 64


def ranges(data: Path) -> dict[str, Any]:
    """Return the histogram of the last sum of the packaged ResNet-20, and the methods' ranges."""
    net = rd.load("cifar10")
    assert isinstance(net, rd.Network)
    fp32 = rd.export(net)
    images = calibration_images(data, fp32.preprocess, samples=_IMAGES)
    model = onnx.load(fp32.plain)
    tensor = [node.output[0] for node in model.graph.node if node.op_type == "Relu"][-1]
    found = observe(model, [tensor], images, images=_IMAGES)[tensor]
    ends = {
        method.value: float(choose_range(found, method).high)
        for method in (
            CalibrationMethod.MINMAX,
            CalibrationMethod.PERCENTILE,
            CalibrationMethod.ENTROPY,
            CalibrationMethod.MSE,
        )
    }
    assert found.exponent is not None
    width = 2.0**found.exponent / (BINS // 2)
    last = int(found.high / width) + 1
    merged = -(-last // _BARS)
    above = found.counts[BINS // 2 : BINS // 2 + merged * _BARS]
    counts = np.pad(above, (0, merged * _BARS - len(above))).reshape(_BARS, merged).sum(1)
    return {
        "tensor": "the last sum of the packaged ResNet-20",
        "images": _IMAGES,
        "bin_width": width * merged,
        "counts": [int(count) for count in counts],
        "ends": ends,
    }
