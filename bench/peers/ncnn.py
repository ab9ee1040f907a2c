"""Tencent's ncnn in fp32, converted by pnnx. It has no batches: images run one after another."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from peers.job import Job, run


class NcnnRunner:
    def __init__(self, name: str, path: Path, threads: int) -> None:
        import ncnn

        self.name, self.input, self._ncnn = name, None, ncnn
        start = time.perf_counter_ns()
        self._net = ncnn.Net()
        self._net.opt.num_threads = threads
        self._net.load_param(str(path))
        self._net.load_model(str(path.with_suffix(".bin")))
        self.load_ns = time.perf_counter_ns() - start

    def infer(self, batch: np.ndarray) -> np.ndarray:
        results = []
        for image in batch:
            extractor = self._net.create_extractor()
            extractor.input("in0", self._ncnn.Mat(image))
            results.append(np.array(extractor.extract("out0")[1]))
        return np.stack(results).astype(np.float32, copy=False)

    def close(self) -> None:
        del self._net


def opener(name: str, path: Path, spec: Any) -> NcnnRunner:
    return NcnnRunner(name, path, spec.threads)


def convert(job: Job) -> list[Path]:
    """Write ``model.ncnn.param`` and ``.bin``; pnnx writes some more, beside its source."""
    import shutil
    import subprocess

    import pnnx

    source = Path(job.out, "model.onnx")
    shutil.copy(job.fp32, source)
    shape = f"inputshape=[1,3,{job.image_size},{job.image_size}]"
    program = Path(pnnx.__file__).parent / "pnnx"
    subprocess.run([str(program), str(source), shape], cwd=job.out, check=True)
    source.unlink()
    param = Path(job.out, "model.ncnn.param")
    return [param, param.with_suffix(".bin")]


def make(job: Job) -> list[Path]:
    return convert(job)


if __name__ == "__main__":
    run(make, ("ncnn", "pnnx"), opener)
