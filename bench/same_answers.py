"""Counts the images to which a default int8 file answers the same, bit for bit, on other CPUs.

    python bench/same_answers.py --depths 18 34 50 101 152 --photos DIR \
        --checkpoints resnet20.th --train DIR --test DIR

The paper's ImageNet nets have synthetic weights, and are calibrated on photos; CIFAR nets have
those of the checkpoints. Each is exported as anyone would, and run on this CPU and on ONNX
Runtime's own kernels for each ISA of ``--isa`` under an emulator (fetched once by
``resnet-deploy doctor --fetch-isa-tools``). It prints a table and writes
``bench/results/same_answers.json``. Exit code 1 if a bit differs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from resnet_deploy import api
from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.data.calibration import calibration_images
from resnet_deploy.data.preprocess import input_preprocess
from resnet_deploy.isa.verify import compare_isas, runnable_isas
from resnet_deploy.models.network import Network
from resnet_deploy.results import to_dict
from resnet_deploy.runners.cpu import environment
from resnet_deploy.spec import Tolerance

RESULT = Path(__file__).parent / "results" / "same_answers.json"


def networks(
    given: argparse.Namespace,
) -> Iterator[tuple[str, Network | Artifact, Path, Path, int]]:
    """Yield what is to be compared."""
    for depth in given.depths:
        network = api.load(depth=depth, weights="random")
        yield f"resnet{depth}", network, given.photos, given.photos, given.few
    for path in given.checkpoints:
        yield path.stem, api.load(weights=str(path)), given.train, given.test, given.samples


def compared(
    network: Network | Artifact,
    calibration: Path,
    data: Path,
    samples: int,
    given: argparse.Namespace,
) -> list[dict[str, Any]]:
    """Return one row per ISA for the default int8 file of ``network``."""
    with tempfile.TemporaryDirectory() as folder:
        api.deploy(
            network,
            folder,
            name="net",
            calibration=calibration,
            effort=given.effort,
            input=given.input,
            keep_slow=True,
            verify=False,
        )
        int8 = load(Path(folder, "net.int8.onnx"))
        assert int8.card is not None, "deploy writes one"
        chosen = calibration_images(data, input_preprocess(int8), samples=samples, seed=1)
        images = np.concatenate(list(chosen))
        report = compare_isas(
            int8,
            runnable_isas(given.isa),
            images,
            data=chosen.name,
            tolerance=Tolerance(),
        )
        return [
            {
                "isa": run.isa,
                "emulator": run.emulator,
                "images": len(images),
                "identical": run.identical_samples,
                "overflow": int8.card.overflow.value,
            }
            for run in report.runs
        ]


def main() -> None:
    """Compare every network; print, write, and tell whether all is equal."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--depths", type=int, nargs="*", default=(), help="synthetic weights")
    parser.add_argument("--photos", type=Path, help="photos for these")
    parser.add_argument("--few", type=int, default=4, help="of the photos are compared")
    parser.add_argument("--checkpoints", type=Path, nargs="*", default=(), help="CIFAR-10 nets")
    parser.add_argument("--train", type=Path, help="images that set the ranges of these")
    parser.add_argument("--test", type=Path, help="images that these are compared on")
    parser.add_argument("--samples", type=int, default=200, help="of the test images")
    parser.add_argument("--isa", nargs="+", default=["x86-avx2", "arm64"])
    parser.add_argument("--effort", default="fast")
    parser.add_argument("--input", default="float-nchw")
    given = parser.parse_args()
    rows = {
        name: compared(network, calibration, data, samples, given)
        for name, network, calibration, data, samples in networks(given)
    }
    kinds = f"--effort {given.effort} --input {given.input} --isa {' '.join(given.isa)}"
    command = f"python bench/same_answers.py {' '.join(rows)} {kinds}"
    result = {"environment": to_dict(environment(command)), "files": rows}
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    shown = Table(caption="images whose logits are equal to those of this CPU, bit for bit")
    for column in ("net", "overflow", *given.isa):
        shown.add_column(column)
    for name, found in rows.items():
        cells = [f"{row['identical']} of {row['images']}" for row in found]
        shown.add_row(name, found[0]["overflow"], *cells)
    Console(width=150).print(shown)
    equal = all(row["identical"] == row["images"] for found in rows.values() for row in found)
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
