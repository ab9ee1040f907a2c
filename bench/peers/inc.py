"""Intel Neural Compressor, the last release with ONNX models: static, its defaults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from peers.job import Job, run


class Loader:
    """What INC asks of a data loader: batches of input and label, and a batch size."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.batch_size = 1

    def __iter__(self) -> Iterator[tuple[np.ndarray, int]]:
        return ((image, 0) for image in self._job.images())


def make(job: Job) -> list[Path]:
    from neural_compressor import quantization
    from neural_compressor.config import PostTrainingQuantConfig

    target = Path(job.out, "int8.onnx")
    config = PostTrainingQuantConfig(approach="static", quant_format="QDQ")
    model = quantization.fit(job.fp32, config, calib_dataloader=Loader(job))
    if model is None:
        raise RuntimeError("quantization.fit gave no model")
    model.save(str(target))
    return [target]


if __name__ == "__main__":
    run(make, ("neural-compressor", "onnxruntime", "onnx"))
