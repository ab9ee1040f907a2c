"""Int8 ranges without images: from the BatchNorm statistics, beside real images and synthetic ones.

Three int8 files of each checkpoint are compared with fp32 on labelled images:

- ``images``: ranges and mean corrections from real training images, ``--calibration``;
- ``batchnorm statistics``: what ``export`` does with a trained net when there are no images;
- ``synthetic images``: what it does when a net has no BatchNorms either.

Run it as ``python bench/data_free.py --train DIR --test DIR CHECKPOINT...`` with image folders of
CIFAR-10. It prints a table and writes ``bench/results/data_free.json``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

from rich.console import Console
from rich.table import Table

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.cli.main import cli
from resnet_deploy.data.datasets import open_dataset
from resnet_deploy.evaluation import score
from resnet_deploy.models import batchnorm_statistics
from resnet_deploy.results import to_dict
from resnet_deploy.runners.cpu import environment

RESULT = Path(__file__).parent / "results" / "data_free.json"
SUBJECTS = ("images", "batchnorm statistics", "synthetic images")
KEPT = ("samples", "top1", "paired")
KEPT_AGAINST = ("top1", "agreement", "sqnr_db")


def export(checkpoint: Path, train: Path, subject: str, folder: Path) -> Path:
    """Write ``checkpoint`` as fp32 and int8 files; return the int8 one."""
    arguments = ["export", "--weights", checkpoint, "-o", folder, "-q"]
    if subject == "images":
        arguments += ["--calibration", train]
    unknown = mock.patch.object(batchnorm_statistics, "batchnorm_statistics", return_value={})
    with unknown if subject == "synthetic images" else nullcontext():
        cli.main([str(argument) for argument in arguments], standalone_mode=False)
    return next(folder.glob("*.int8.onnx"))


def measure(checkpoint: Path, train: Path, test: Path) -> dict[str, Any]:
    """Return the figures of all subjects of one checkpoint."""
    found: dict[str, Any] = {}
    for subject in SUBJECTS:
        with tempfile.TemporaryDirectory() as folder:
            int8 = export(checkpoint, train, subject, Path(folder))
            fp32 = int8.with_name(int8.name.replace(".int8", ""))
            result = to_dict(score(int8, open_dataset(test), against=fp32))
            card = load(int8).card
        assert card is not None
        found[subject] = {key: result[key] for key in KEPT}
        found[subject]["against"] = {key: result["against"][key] for key in KEPT_AGAINST}
        found[subject]["quantize"] = card.steps[-1].options
    return found


def table(result: dict[str, Any]) -> Table:
    shown = Table()
    for number, column in enumerate(("int8 ranges from", "SQNR", "same top-1", "top-1", "points")):
        shown.add_column(column, justify="right" if number else "left")
    for name, subjects in result["checkpoints"].items():
        for subject, figures in subjects.items():
            low, high = figures["paired"]["interval"]
            points = f"{100 * figures['paired']['difference']:+.2f}"
            shown.add_row(
                f"{name}: {subject}",
                f"{figures['against']['sqnr_db']:.2f} dB",
                f"{figures['against']['agreement']:.2%}",
                f"{figures['top1']:.2%}",
                f"{points} ({100 * low:+.2f} to {100 * high:+.2f})",
            )
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--train", type=Path, required=True, help="images that set the ranges")
    parser.add_argument("--test", type=Path, required=True, help="labelled images to compare on")
    parser.add_argument("checkpoints", type=Path, nargs="+")
    given = parser.parse_args()
    names = " ".join(path.name for path in given.checkpoints)
    result = {
        "environment": to_dict(
            environment(f"python bench/data_free.py --train TRAIN --test TEST {names}")
        ),
        "checkpoints": {
            path.stem: measure(path, given.train, given.test) for path in given.checkpoints
        },
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    Console(width=150).print(table(result))


if __name__ == "__main__":
    main()
