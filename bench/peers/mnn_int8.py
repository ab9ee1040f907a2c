"""MNN's offline quantization, as its documentation's example sets it."""

from __future__ import annotations

import json
from pathlib import Path

from peers.job import Job, run
from peers.mnn import convert, opener

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def make(job: Job) -> list[Path]:
    import _tools

    source = convert(job)
    target, settings = source.with_name("int8.mnn"), source.with_name("settings.json")
    settings.write_text(
        json.dumps(
            {
                "format": "RGB",
                "mean": [255 * mean for mean in MEAN],
                "normal": [1 / (255 * std) for std in STD],
                "width": job.image_size,
                "height": job.image_size,
                "path": f"{job.pixels}/",
                "used_sample_num": len(list(Path(job.pixels).iterdir())),
                "feature_quantize_method": "KL",
                "weight_quantize_method": "MAX_ABS",
                "model": str(target),
            }
        ),
        encoding="utf-8",
    )
    # The library takes the program's arguments as they are; its Python wrapper passes them wrongly.
    _tools.mnnquant(["mnnquant", str(source), str(target), str(settings)])
    source.with_suffix(".json").rename(target.with_suffix(".json"))
    return [target]


if __name__ == "__main__":
    run(make, ("MNN",), opener)
