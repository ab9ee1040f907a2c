"""Exports one file of every kind from several checkouts and compares the bytes.

    python bench/same_bytes.py OLD_CHECKOUT . --data CIFAR/train --weights resnet20.th -o OUT

A refactoring must not change a file. Where bytes differ, the entries of the card that do are
listed, and whether the graphs are equal apart from it. Exit code 1 if a graph differs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx

CARD_KEY = "resnet_deploy.card"
SMALL = ("--image-size", "64")


def configurations(data: Path, weights: Path, transfer: Path) -> dict[str, tuple[str, ...]]:
    """Return the options of ``export`` by name."""
    real = ("--weights", str(weights), "--calibration", str(data), "--calibration-samples", "128")
    cifar = ("--weights", "cifar10", *real[2:])
    return {
        "resnet18": ("--depth", "18"),
        "resnet34": ("--depth", "34"),
        "resnet50": ("--depth", "50"),
        "resnet50-v1": ("--depth", "50", "--variant", "v1", *SMALL),
        "plain18": ("--depth", "18", "--plain", *SMALL),
        "cifar20": real,
        "vgg19": ("--model", "vgg19", "--num-classes", "10"),
        "bytes": (*cifar, "--input", "uint8-nhwc"),
        "features": ("--depth", "18", "--output", "features", *SMALL),
        "top-5": (*cifar, "--output", "top-5"),
        "best": (*real, "--effort", "best"),
        "overflow": (*cifar, "--allow-overflow"),
        "transfer": ("--weights", str(transfer), *real[2:]),
    }


def run(tree: Path, *arguments: str) -> None:
    """Run ``resnet-deploy`` of the checkout ``tree``."""
    environment = {**os.environ, "PYTHONPATH": str(tree.resolve())}
    command = [sys.executable, "-m", "resnet_deploy", *arguments]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, cwd=tree
    )
    if done.returncode not in (0, 1) or done.stderr:
        print(f"  {' '.join(arguments)}: exit {done.returncode} {done.stderr.strip()[-300:]}")


def differences(old: Any, new: Any, path: str = "card") -> Iterator[str]:
    """Yield the entries of two cards that differ, with both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from differences(old.get(key), new.get(key), f"{path}.{key}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from differences(before, after, f"{path}[{number}]")
    elif old != new:
        yield f"{path}: {json.dumps(old)} -> {json.dumps(new)}"


def opened(path: Path) -> tuple[bytes, Any]:
    """Return the bytes of the file at ``path`` without its card, and the card."""
    model = onnx.load(path)
    cards = [entry.value for entry in model.metadata_props if entry.key == CARD_KEY]
    del model.metadata_props[:]
    return model.SerializeToString(), json.loads(cards[0]) if cards else None


def compare(old: Path, new: Path) -> bool:
    """Print in what the files of two folders differ; return whether all graphs are equal."""
    equal = True
    names = sorted({path.relative_to(folder) for folder in (old, new) for path in files(folder)})
    for name in names:
        if not (old / name).exists() or not (new / name).exists():
            print(f"{name}: only one of the two wrote it")
            equal = False
        elif (old / name).read_bytes() == (new / name).read_bytes():
            print(f"{name}: equal bytes")
        else:
            (graph, card), (other, changed) = opened(old / name), opened(new / name)
            print(f"{name}: {'equal graph, other card' if graph == other else 'OTHER GRAPH'}")
            equal = equal and graph == other
            for line in differences(card, changed):
                print(f"    {line}")
    return equal


def files(folder: Path) -> list[Path]:
    """Return the ONNX files below ``folder``."""
    return sorted(folder.rglob("*.onnx"))


def main() -> None:
    """Export with every checkout; compare each with the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trees", nargs="+", type=Path, metavar="CHECKOUT")
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ of CIFAR-10")
    parser.add_argument("--weights", type=Path, required=True, help="a trained CIFAR ResNet-20")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", help="some of the configurations")
    options = parser.parse_args()
    out = options.out.resolve()
    data, weights = options.data.resolve(), options.weights.resolve()
    transfer = out / "transfer-run"
    if not transfer.exists():
        recipe = ("--recipe", "transfer", "--epochs", "1", "--limit", "200", "--batch-size", "50")
        run(
            options.trees[0],
            *("train", "--weights", "cifar10", "--data", str(data.parent)),
            *(*recipe, "-o", str(transfer)),
        )
    folders = []
    for number, tree in enumerate(options.trees):
        folders.append(out / str(number))
        for name, arguments in configurations(data, weights, transfer).items():
            folder = folders[-1] / name
            if folder.exists() or (options.only and name not in options.only):
                continue
            print(f"{tree}: {name}", flush=True)
            run(tree, "export", *arguments, "--no-calibration-cache", "-o", str(folder))
    passed = [compare(folders[0], folder) for folder in folders[1:]]
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    main()
