"""Triton's own server on 127.0.0.1, with the model repositories of bundles.

The onnxruntime and openvino backends are in no package, so Triton's Python backend stands in for
them: a few lines that run the same ONNX file, with the threads that ``config.pbtxt`` says.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from tests.support.triton_packages import server

DRAIN_SECONDS: Final = 20
"""How long the server may take to answer what it has accepted, once it is told to end."""

STAND_IN = """
import json
import sys
from pathlib import Path

sys.path[:0] = {paths!r}
import numpy as np
import triton_python_backend_utils as triton


def onnxruntime(config, file):
    import onnxruntime

    # As the backend: it knows these parameters.
    options = onnxruntime.SessionOptions()
    for key in ("intra", "inter"):
        value = config["parameters"][f"{{key}}_op_thread_count"]["string_value"]
        setattr(options, f"{{key}}_op_num_threads", int(value))
    session = onnxruntime.InferenceSession(str(file), options)
    names = [one["name"] for one in config["output"]]
    return lambda batch: session.run(names, {{config["input"][0]["name"]: batch}})


def openvino(config, file):
    # As the backend: it knows these parameters, and compiles for max_batch_size.
    sys.modules["openvino_telemetry"] = None
    import openvino

    core = openvino.Core()
    for key in ("PERFORMANCE_HINT", "NUM_STREAMS", "INFERENCE_NUM_THREADS"):
        core.set_property("CPU", {{key: config["parameters"][key]["string_value"]}})
    model = core.read_model(str(file))
    shape = model.inputs[0].partial_shape
    shape[0] = config["max_batch_size"]
    model.reshape(shape)
    request = core.compile_model(model, "CPU").create_infer_request()
    return lambda batch: [request.infer([batch])[one["name"]].copy() for one in config["output"]]


class TritonPythonModel:
    def initialize(self, arguments):
        config = json.loads(arguments["model_config"])
        self.batched = config["max_batch_size"] > 0
        self.input = config["input"][0]["name"]
        self.outputs = [one["name"] for one in config["output"]]
        self.run = {backend}(config, Path(__file__).with_name("model.onnx"))
        self.seen = Path(arguments["model_repository"]) / "batches.txt"

    def execute(self, requests):
        tensors = [triton.get_input_tensor_by_name(one, self.input).as_numpy() for one in requests]
        batches = [np.concatenate(tensors)] if self.batched else tensors
        with self.seen.open("a") as stream:
            stream.writelines(f"{{len(batch)}}\\n" for batch in batches)
        found = [self.run(batch) for batch in batches]
        whole = [np.concatenate(parts) for parts in zip(*found)]
        ends = np.cumsum([len(one) for one in tensors])[:-1]
        split = [np.split(values, ends) for values in whole]
        return [
            triton.InferenceResponse(
                [triton.Tensor(name, parts[i]) for name, parts in zip(self.outputs, split)]
            )
            for i in range(len(requests))
        ]
"""


@dataclass(frozen=True)
class Triton:
    """A server that runs."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def said(self) -> str:
        """Return what the server logged."""
        return self.log.read_text(errors="replace")


@contextmanager
def running(repository: Path, log: Path) -> Iterator[Triton]:
    """Start a server with ``repository``, and end it as a container's is ended: by SIGTERM."""
    if platform.machine() != "x86_64" or sys.platform != "linux" or sys.version_info >= (3, 13):
        pytest.skip("Triton's Python backend is for Linux on x86-64 and Python up to 3.12")
    packages = server()
    backends = log.with_name("backends")
    shutil.copytree(packages / "pytriton/tritonserver/backends", backends, dirs_exist_ok=True)
    stubs = packages / "pytriton/tritonserver/python_backend_stubs"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copy(stubs / version / "triton_python_backend_stub", backends / "python")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [
                str(packages / "pytriton/tritonserver/bin/tritonserver"),
                f"--model-repository={repository}",
                f"--backend-directory={backends}",
                "--http-address=127.0.0.1",
                f"--http-port={port}",
                "--allow-grpc=false",
                "--allow-metrics=false",
                f"--exit-timeout-secs={DRAIN_SECONDS}",
            ],
            stdout=stream,
            stderr=stream,
            env={**os.environ, "LD_LIBRARY_PATH": str(packages / "nvidia_pytriton.libs")},
        )
        try:
            yield Triton(process, f"http://127.0.0.1:{port}", log)
        finally:
            process.terminate()
            process.wait(60)


def stand_in(bundles: Iterable[Path], repository: Path) -> Path:
    """Return one repository of all ``bundles``, on the Python backend."""
    site = Path(np.__file__).parents[1]
    for bundle in bundles:
        shutil.copytree(bundle / "model_repository", repository, dirs_exist_ok=True)
    for config in repository.glob("*/config.pbtxt"):
        text = config.read_text()
        found = re.search(r'\nbackend: "(\w+)"\ndefault_model_filename: "model.onnx"\n', text)
        assert found is not None
        config.write_text(text.replace(found[0], '\nbackend: "python"\n'))
        model = STAND_IN.format(paths=[str(server()), str(site)], backend=found[1])
        config.with_name("1").joinpath("model.py").write_text(model)
    return repository
