"""Int8-aware training: what it costs, and whether the int8 file computes what was learned.

Runs ``train --qat`` and ``export``, and lets four answer the test images: the float net that the
training begins with, the network as it was trained (fake quantization in PyTorch), ONNX Runtime's
int8 kernels, and ONNX Runtime with optimisations off, where it computes the same file in float.
Run it as ``python bench/int8_aware.py --data CIFAR``; it prints a table, writes
``bench/results/int8_aware.json``, and exits with 1 where the network as trained and int8 pick
another class on more than 0.1 % of the images, or int8 is more than 0.2 points worse than fp32.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from resnet_deploy.artifact.files import sha256_of, write_atomically
from resnet_deploy.errors import ResnetDeployError
from resnet_deploy.loading.checkpoint import resolve
from resnet_deploy.models.network import Network
from resnet_deploy.results import to_dict
from resnet_deploy.runners.cpu import environment
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import Optimization, SessionSpec
from resnet_deploy.spec.model_request import ModelRequest
from resnet_deploy.training.batches import evaluation_batches
from resnet_deploy.training.checkpoint import load_checkpoint
from resnet_deploy.training.data import LabelledImages, TrainingData, open_training_data
from resnet_deploy.training.qat import QatNet, calibration_sample, prepare_qat

RESULT = Path(__file__).parent / "results" / "int8_aware.json"
COMMAND = "python bench/int8_aware.py --data CIFAR"
LEAST_AGREEMENT = 0.999
MOST_LOST = 0.002


def run(*words: str) -> None:
    """Run a command of resnet-deploy; what it says of an error is all that it prints."""
    done = subprocess.run([sys.executable, "-m", "resnet_deploy", *words], check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


def trained_network(out: Path, loaded: Network, data: TrainingData) -> QatNet:
    """Return the network as the run in ``out`` left it."""
    assert loaded.card is not None
    preprocess = loaded.card.preprocess
    sample = calibration_sample(data.train, seed=0)
    network = prepare_qat(loaded.module, loaded.spec, preprocess, sample)
    network.load_state_dict(load_checkpoint(out / "last.pt").network)
    return network.eval()


def answers(
    pictures: LabelledImages, start: torch.nn.Module, network: QatNet, file: Path
) -> dict[str, np.ndarray]:
    """Return everybody's logits, float32 ``(N, classes)``."""
    kernels = OrtRunner(file)
    unfused = OrtRunner(file, SessionSpec(optimization=Optimization.OFF))
    found: dict[str, list[np.ndarray]] = {}
    with torch.inference_mode():
        for batch in evaluation_batches(pictures, batch_size=250):
            images = batch.images.contiguous()
            for name, logits in (
                ("fp32", start(images).numpy()),
                ("as trained", network(images).numpy()),
                ("int8", kernels.infer(images.numpy())),
                ("int8, optimisations off", unfused.infer(images.numpy())),
            ):
                found.setdefault(name, []).append(logits)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def measure(given: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Train, export, and return the figures as JSON has them."""
    loaded = resolve(ModelRequest(), given.weights)
    if loaded.card is None:
        raise SystemExit(f"--weights {given.weights} have no card: name some of resnet-deploy's")

    options = ("--weights", given.weights, "--data", str(given.data), "-o", str(out))
    run("train", "--qat", "--epochs", str(given.epochs), *options)
    weights = ("--weights", str(out), "--calibration", str(given.data), "--name", "net")
    run("export", *weights, "-o", str(out / "deployed"))

    data = open_training_data(given.data, loaded.card.preprocess)
    network = trained_network(out, loaded, data)
    logits = answers(data.test, loaded.module, network, out / "deployed" / "net.int8.onnx")
    reference = logits["as trained"]
    settings = json.loads((out / "run.json").read_bytes())["settings"]
    return {
        "environment": to_dict(environment(COMMAND)),
        "weights": {"name": Path(given.weights).name, "sha256": settings["weights"]},
        "recipe": settings["recipe"],
        "int8_sha256": sha256_of(out / "deployed" / "net.int8.onnx"),
        "test_images": len(data.test),
        "answers": {
            name: {
                "top1": float((answers.argmax(1) == data.test.labels).mean()),
                "same_class": float((answers.argmax(1) == reference.argmax(1)).mean()),
                "largest_difference": float(np.abs(answers - reference).max()),
            }
            for name, answers in logits.items()
        },
    }


def table(result: dict[str, Any]) -> Table:
    shown = Table(caption=f"{result['test_images']:,} images; against the network as trained")
    for number, column in enumerate(("", "top-1", "same class", "largest difference of a logit")):
        shown.add_column(column, justify="right" if number else "left")
    for name, figures in result["answers"].items():
        shown.add_row(
            name,
            f"{figures['top1']:.2%}",
            f"{figures['same_class']:.2%}",
            f"{figures['largest_difference']:.3g}",
        )
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="with a training and a test part")
    parser.add_argument("--weights", default="cifar10", help="cifar10 is the ResNet-20 in the box")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("-o", "--out", type=Path, default=RESULT)
    given = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            result = measure(given, Path(folder) / "run")
    except ResnetDeployError as problem:
        parser.error(str(problem))
    write_atomically(given.out, (json.dumps(result, indent=1) + "\n").encode())
    Console().print(table(result))
    found = result["answers"]
    agrees = found["int8"]["same_class"] >= LEAST_AGREEMENT
    keeps = found["int8"]["top1"] >= found["fp32"]["top1"] - MOST_LOST
    raise SystemExit(0 if agrees and keeps else 1)


if __name__ == "__main__":
    main()
