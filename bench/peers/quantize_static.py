"""``onnxruntime.quantization`` with its defaults, after its own pre-processing."""

from __future__ import annotations

from pathlib import Path

from peers.job import Job, run


def make(job: Job) -> list[Path]:
    from onnxruntime.quantization import quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    from peers.reader import Reader

    prepared, target = Path(job.out, "prepared.onnx"), Path(job.out, "int8.onnx")
    quant_pre_process(job.fp32, str(prepared))
    quantize_static(str(prepared), str(target), Reader(job))
    prepared.unlink()
    return [target]


if __name__ == "__main__":
    run(make, ("onnxruntime",))
