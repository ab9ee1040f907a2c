"""Microsoft Olive, the pass ``OnnxStaticQuantization`` with its defaults."""

from __future__ import annotations

from pathlib import Path

from peers.job import Job, input_name, run


def make(job: Job) -> list[Path]:
    from olive.data.config import DataComponentConfig, DataConfig
    from olive.data.registry import Registry
    from olive.model import ONNXModelHandler
    from olive.passes.olive_pass import create_pass_from_dict
    from olive.passes.onnx.quantization import OnnxStaticQuantization

    name = input_name(job.fp32)

    @Registry.register_dataset()
    def calibration_images(**_: object) -> list[tuple[dict[str, object], int]]:
        return [({name: image[0]}, 0) for image in job.images()]

    data = DataConfig(
        name="calibration",
        load_dataset_config=DataComponentConfig(type="calibration_images"),
        pre_process_data_config=DataComponentConfig(type="skip_pre_process"),
        post_process_data_config=DataComponentConfig(type="skip_post_process"),
        dataloader_config=DataComponentConfig(type="default_dataloader", params={"batch_size": 1}),
    )
    quantize = create_pass_from_dict(
        OnnxStaticQuantization, {"data_config": data}, disable_search=True
    )
    made = quantize.run(ONNXModelHandler(job.fp32), str(Path(job.out, "int8")))
    return [Path(made.model_path)]


if __name__ == "__main__":
    run(make, ("olive-ai", "onnxruntime"))
