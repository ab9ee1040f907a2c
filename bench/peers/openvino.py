"""OpenVINO with our own runner: on ONNX files, and on the file that its converter writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peers.job import Job, run
from resnet_deploy.runners.openvino_runner import OpenVinoRunner
from resnet_deploy.spec import SessionSpec


def opener(name: str, path: Path, spec: Any) -> OpenVinoRunner:
    """Open ``path``; ``name`` is ``openvino:`` and what the float operators are computed in."""
    precision = name.partition(":")[2]
    options = (("INFERENCE_PRECISION_HINT", precision),)
    return OpenVinoRunner(path, SessionSpec(threads=spec.threads, options=options))


def make(job: Job) -> list[Path]:
    import openvino as ov

    target = Path(job.out, "model.xml")
    ov.save_model(ov.convert_model(job.fp32), target)  # its default stores weights in fp16
    return [target, target.with_suffix(".bin")]


if __name__ == "__main__":
    run(make, ("openvino",), opener)
