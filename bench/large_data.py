"""Whether the cores are kept busy on photos: ``evaluate`` and the calibration of ``quantize``.

    python bench/large_data.py --photos DIR [--before TREE] [--images 1000] [--rounds 3]

``DIR`` holds photos of any size, which are taken again and again until there are ``--images``.
``TREE`` is another working tree of this repository, such as ``git worktree add TREE COMMIT`` makes.
Both run with the packages of this interpreter, in turn, on a ResNet-34 with random weights: what
takes time does not depend on them. How far decoding at reduced scale would move the pixels is
counted as well. The record is ``results/large_data.json``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from whole_commands import HERE, in_turn, middle, run, show

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.data.folder import image_files
from resnet_deploy.results import to_dict
from resnet_deploy.runners.cpu import environment

RESULT = Path(__file__).parent / "results" / "large_data.json"
CLASSES = 1000


def spread(photos: Path, count: int, folder: Path) -> None:
    """Put ``count`` copies of photos into folders of as many classes as the net has."""
    files = image_files(photos)
    contents = [file.read_bytes() for file in files]
    for number in range(max(count, CLASSES)):
        place = folder / f"{number % CLASSES:03d}"
        place.mkdir(parents=True, exist_ok=True)
        file = files[number % len(files)]
        (place / f"{number}{file.suffix}").write_bytes(contents[number % len(files)])


def reduced_scale(photos: Path, side: int = 112) -> dict[str, float]:
    """Return how far libjpeg's reduced scale is off the whole picture, both resized to ``side``.

    The side is about a quarter of the photos', so that a half of each is still larger.
    """
    worst, above, values, count = 0, 0, 0, 0
    for file in image_files(photos):
        with Image.open(file) as whole, Image.open(file) as reduced:
            share = side / min(whole.size)
            size = (round(whole.width * share), round(whole.height * share))
            reduced.draft("RGB", size)
            if reduced.size == whole.size:
                continue
            found = [
                np.asarray(image.convert("RGB").resize(size, Image.Resampling.BILINEAR), np.int16)
                for image in (whole, reduced)
            ]
        off = np.abs(found[0] - found[1])
        worst, above = max(worst, int(off.max())), above + int((off > 1).sum())
        values, count = values + off.size, count + 1
    return {"photos": count, "worst_levels": worst, "above_one": above / max(values, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR")
    parser.add_argument("--before", type=Path, metavar="TREE")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    trees = {"now": HERE}
    if asked.before:
        trees = {"before": asked.before.resolve(), **trees}
    with tempfile.TemporaryDirectory(prefix="resnet-deploy-") as name:
        folder, data = Path(name), Path(name, "photos")
        spread(asked.photos, asked.images, data)
        made = ["export", "--depth", "34", "--keep-slow", "--no-verify", "-q", "-o", name]
        run(HERE, made)
        fp32, int8 = (str(folder / f"resnet34{kind}.onnx") for kind in ("", ".int8"))
        some = ["--data", str(data), "--limit", str(asked.images), "-q"]
        quantize = ["quantize", fp32, "--calibration", str(data), "--no-calibration-cache"]
        quantize += [
            "--no-verify",
            "--no-witness",
            "--force",
            "-q",
            "-o",
            str(folder / "again.onnx"),
        ]
        commands = {
            "evaluate int8": ["evaluate", int8, *some],
            "evaluate int8 --against fp32": ["evaluate", int8, "--against", fp32, *some],
            "quantize": quantize,
        }
        # Random weights are right by chance, which evaluate's exit code says.
        runs = in_turn(trees, commands, asked.rounds, codes=(0, 1))
    show(runs, tuple(trees), tuple(commands))
    record = {
        "environment": to_dict(environment("python bench/large_data.py")),
        "images": asked.images,
        "rounds": asked.rounds,
        "reduced_scale": reduced_scale(asked.photos),
        "images_per_second": {
            tree: asked.images / middle(runs, "evaluate int8", tree, "seconds") for tree in trees
        },
        "runs": runs,
    }
    write_atomically(RESULT, (json.dumps(record, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
