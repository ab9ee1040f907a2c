"""Hugging Face Optimum, its static quantization for AVX512-VNNI."""

from __future__ import annotations

from pathlib import Path

from peers.job import Job, input_name, run


def make(job: Job) -> list[Path]:
    from datasets import Dataset
    from optimum.onnxruntime import ORTQuantizer
    from optimum.onnxruntime.configuration import AutoCalibrationConfig, AutoQuantizationConfig

    out, name = Path(job.out), input_name(job.fp32)
    images = Dataset.from_dict({name: [image[0] for image in job.images()]}).with_format("numpy")
    quantizer = ORTQuantizer(Path(job.fp32))
    config = AutoQuantizationConfig.avx512_vnni(is_static=True, per_channel=True)
    ranges = quantizer.fit(
        dataset=images,
        calibration_config=AutoCalibrationConfig.minmax(images),
        operators_to_quantize=config.operators_to_quantize,
        onnx_augmented_model_name=str(out / "augmented.onnx"),
    )
    quantizer.quantize(
        save_dir=out, calibration_tensors_range=ranges, quantization_config=config, file_suffix="q"
    )
    return [out / f"{Path(job.fp32).stem}_q.onnx"]


if __name__ == "__main__":
    run(make, ("optimum", "optimum-onnx", "onnxruntime"))
