"""Alibaba's MNN in fp32, by its converter's defaults.

The converter's command line installs a logger that sends statistics; its library does not, so that
is called instead.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from peers.job import Job, run


class MnnRunner:
    def __init__(self, name: str, path: Path, threads: int) -> None:
        import MNN.expr as expr
        import MNN.nn as nn

        self.name, self.input, self._expr = name, None, expr
        names = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
        start = time.perf_counter_ns()
        options = {"backend": "CPU", "precision": "high", "numThread": threads}
        manager = nn.create_runtime_manager((options,))
        self._net = nn.load_module_from_file(
            str(path), names["inputs"], names["outputs"], runtime_manager=manager
        )
        self._manager = manager
        self.load_ns = time.perf_counter_ns() - start

    def infer(self, batch: np.ndarray) -> np.ndarray:
        expr = self._expr
        image = expr.const(batch, list(batch.shape), expr.NCHW)
        # The variable must live until its values are copied.
        logits = expr.convert(self._net.forward(image), expr.NCHW)
        return np.array(logits.read(), np.float32)

    def close(self) -> None:
        del self._net


def opener(name: str, path: Path, spec: Any) -> MnnRunner:
    return MnnRunner(name, path, spec.threads)


def convert(job: Job) -> Path:
    """Write the fp32 file, and the names of its input and output beside it."""
    import _tools
    import onnx

    target = Path(job.out, "model.mnn")
    graph = onnx.load(job.fp32).graph
    command = ["mnnconvert", "-f", "ONNX", "--modelFile", job.fp32, "--MNNModel", str(target)]
    # The quantizer fails on an input whose batch size is not known; it can be resized later.
    command += ["--batch", "1"]
    _tools.mnnconvert([*command, "--bizCode", "biz"])
    write_names(target, graph.input[0].name, graph.output[0].name)
    return target


def write_names(model: Path, entry: str, end: str) -> None:
    names = {"inputs": [entry], "outputs": [end]}
    model.with_suffix(".json").write_text(json.dumps(names), encoding="ascii")


def make(job: Job) -> list[Path]:
    return [convert(job)]


if __name__ == "__main__":
    run(make, ("MNN",), opener)
