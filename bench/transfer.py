"""From trained weights to other pictures, beside the same network from scratch at equal steps.

Two datasets that are none of CIFAR-10: scikit-learn's digits (8x8 pixels, 1,000 to train on), and
``--limit`` pictures of Fashion-MNIST where Debian's package dataset-fashion-mnist is unpacked.
Three subjects take the same number of steps over the same pictures:

- ``transfer``: the weights with a new head, recipe ``transfer``;
- ``scratch``: new weights, the same recipe, all parts at the full rate;
- ``scratch, cifar-fast``: new weights, with the schedule, rate, momentum and weight decay that
  train CIFAR-10 fast from scratch; batches and augmentation are those of the others.

What counts is transfer against the better one of the last two, seed by seed. Run it as
``python bench/transfer.py``; it prints a table, writes ``bench/results/transfer.json``, and exits
with 1 where training from scratch is as good with any seed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from train_runs import train_all

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.results import to_dict
from resnet_deploy.results.training import TrainingResult
from resnet_deploy.runners.cpu import environment
from resnet_deploy.spec.model_request import ModelRequest
from resnet_deploy.spec.train_request import TrainRequest
from resnet_deploy.spec.training import Recipe
from resnet_deploy.training.recipe import read_recipe, to_values

RESULT = Path(__file__).parent / "results" / "transfer.json"
FASHION = Path("/usr/share/datasets/fashion-mnist")
COMMAND = "python bench/transfer.py"
DIGITS_TRAINED = 1_000

Key = tuple[str, int, int, str]
"""Dataset, epochs, seed and subject."""


def recipes(epochs: int) -> dict[str, Recipe]:
    """Return how each subject is trained: as many steps, and the same pictures in each."""
    transfer = read_recipe("transfer", {"epochs": epochs})
    same = {"batch_size": transfer.batch_size, "augment": transfer.augment.value}
    # Its rate is for batches of 128: at another size it is scaled, as Goyal et al. do.
    scaled = {"epochs": epochs, "lr_batch": read_recipe("cifar-fast").batch_size, **same}
    return {
        "transfer": transfer,
        "scratch": replace(transfer, stage_decay=1.0),
        "scratch, cifar-fast": read_recipe("cifar-fast", scaled),
    }


def write_digits(path: Path) -> Path:
    """Write scikit-learn's digits as ``.npz``, training and test pictures apart."""
    digits = load_digits()
    order = np.random.RandomState(0).permutation(len(digits.target))
    train, test = order[:DIGITS_TRAINED], order[DIGITS_TRAINED:]
    np.savez(
        path,
        x_train=digits.images[train],
        y_train=digits.target[train],
        x_test=digits.images[test],
        y_test=digits.target[test],
    )
    return path


def requests(given: argparse.Namespace, folder: Path) -> dict[Key, TrainRequest]:
    """Return what to train."""
    data: dict[str, tuple[Path, int | None]] = {
        "digits": (write_digits(folder / "digits.npz"), None)
    }
    if given.fashion.is_dir():
        data["fashion-mnist"] = (given.fashion, given.limit)
    asked: dict[Key, TrainRequest] = {}
    for name, (path, limit) in data.items():
        for epochs in given.epochs:
            for seed in range(given.seeds):
                for number, (subject, recipe) in enumerate(recipes(epochs).items()):
                    starts = subject == "transfer"
                    asked[name, epochs, seed, subject] = TrainRequest(
                        # Trained weights say what network they are of.
                        model=ModelRequest() if starts else ModelRequest(depth=given.depth),
                        weights=given.weights if starts else "random",
                        data=path,
                        out=folder / f"{name}-{epochs}-{seed}-{number}",
                        recipe=recipe,
                        limit=limit,
                        seed=seed,
                        threads=1,
                    )
    return asked


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Train all, and return the figures as JSON has them."""
    with tempfile.TemporaryDirectory() as folder:
        asked = requests(given, Path(folder))
        results = train_all(list(asked.values()), COMMAND, jobs=given.jobs)
        found = dict(zip(asked, results, strict=True))
        start = next(request for request in asked.values() if request.weights != "random")
        settings = json.loads((start.out / "run.json").read_bytes())["settings"]
    comparisons = [
        compare(data, epochs, {key[2:]: found[key] for key in keys})
        for (data, epochs), keys in groupby(found, key=lambda key: key[:2])
    ]
    return {
        "environment": to_dict(environment(COMMAND)),
        "weights": {"name": Path(given.weights).name, "sha256": settings["weights"]},
        "depth": given.depth,
        "threads": 1,
        "precision": settings["precision"],
        "recipes": {name: to_values(recipe) for name, recipe in recipes(given.epochs[0]).items()},
        "comparisons": comparisons,
    }


def compare(data: str, epochs: int, found: dict[tuple[int, str], TrainingResult]) -> dict[str, Any]:
    """Return one dataset's figures at one number of steps."""
    steps = {result.epochs[-1].steps for result in found.values()}
    assert len(steps) == 1
    top1: dict[str, list[float | None]] = {}
    for (_, subject), result in found.items():
        top1.setdefault(subject, []).append(result.top1)
    first, *others = top1.values()
    gains = [ours - max(rest) for ours, *rest in zip(first, *others, strict=True)]
    any_result = next(iter(found.values()))
    return {
        "data": data,
        "train_images": any_result.train_images,
        "test_images": any_result.test_images,
        "epochs": epochs,
        "steps": steps.pop(),
        "top1": top1,
        "gains": gains,
        "holds": min(gains) > 0,
    }


def table(result: dict[str, Any]) -> Table:
    shown = Table(caption="top-1, mean over the seeds; difference to the better one from scratch")
    names = result["recipes"]
    for column in ("data", "images", "steps", *names, "difference", "least"):
        shown.add_column(column, justify="left" if column == "data" else "right")
    for compared in result["comparisons"]:
        shown.add_row(
            compared["data"],
            f"{compared['train_images']:,}",
            f"{compared['steps']:,}",
            *(f"{statistics.mean(compared['top1'][name]):.2%}" for name in names),
            f"{100 * statistics.mean(compared['gains']):+.2f}",
            f"{100 * min(compared['gains']):+.2f}",
        )
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--weights", default="cifar10", help="cifar10 is the ResNet-20 in the box")
    parser.add_argument("--depth", type=int, default=20, help="of the network from scratch")
    parser.add_argument("--fashion", type=Path, default=FASHION, help="IDX files; else left out")
    parser.add_argument("--limit", type=int, default=2_000, help="pictures of each of its parts")
    parser.add_argument("--epochs", type=int, nargs="+", default=[2, 6], help="one run of each")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("-o", "--out", type=Path, default=RESULT)
    given = parser.parse_args()
    result = measure(given)
    write_atomically(given.out, (json.dumps(result, indent=1) + "\n").encode())
    Console(width=120).print(table(result))
    raise SystemExit(0 if all(compared["holds"] for compared in result["comparisons"]) else 1)


if __name__ == "__main__":
    main()
