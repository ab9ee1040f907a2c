"""torchao's PT2E static int8 for x86, compiled by Inductor."""

from __future__ import annotations

from pathlib import Path

from peers.job import Job, run
from peers.pytorch import load_module, opener


def make(job: Job) -> list[Path]:
    import torch
    import torch.nn.functional as F
    import torchao.quantization.pt2e.quantizer.x86_inductor_quantizer as x86
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    module = load_module(Path(job.weights))
    for block in list(module.modules()):
        if isinstance(getattr(block, "relu", None), torch.nn.Module):
            # The quantizer's partitioner refuses a ReLU module that is called twice.
            del block.relu
            block.relu = F.relu
    shape = (job.batch, 3, job.image_size, job.image_size)
    example = (torch.zeros(shape).contiguous(memory_format=torch.channels_last),)
    with torch.no_grad():
        exported = torch.export.export(module, example, strict=True).module()
        quantizer = x86.X86InductorQuantizer()
        quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
        prepared = prepare_pt2e(exported, quantizer)
        images = [torch.from_numpy(image[0]) for image in job.images()]
        for start in range(0, len(images) - job.batch + 1, job.batch):
            prepared(torch.stack(images[start : start + job.batch]))
        converted = convert_pt2e(prepared)
        target = Path(job.out, f"model-b{job.batch}.pt2")
        torch.export.save(torch.export.export(converted, example), target)
    return [target]


if __name__ == "__main__":
    run(make, ("torchao", "torch"), opener)
