"""Calibration images as ``onnxruntime.quantization`` wants them."""

from __future__ import annotations

import numpy as np
from onnxruntime.quantization import CalibrationDataReader

from peers.job import Job, input_name


class Reader(CalibrationDataReader):
    """One image at a time."""

    def __init__(self, job: Job) -> None:
        self._name = input_name(job.fp32)
        self._images = job.images()

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._images, None)
        return None if image is None else {self._name: image}
