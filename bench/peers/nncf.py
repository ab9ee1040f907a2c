"""NNCF's post-training quantization with its defaults, on OpenVINO's form of the net."""

from __future__ import annotations

from pathlib import Path

from peers.job import Job, run
from peers.openvino import opener


def make(job: Job) -> list[Path]:
    import nncf
    import openvino as ov

    images = list(job.images())
    model = ov.convert_model(job.fp32)
    int8 = nncf.quantize(model, nncf.Dataset(images), subset_size=len(images))
    target = Path(job.out, "model.xml")
    ov.save_model(int8, target)
    return [target, target.with_suffix(".bin")]


if __name__ == "__main__":
    run(make, ("nncf", "openvino"), opener)
