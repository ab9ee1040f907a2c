"""Int8 of the whole family: nets trained here, and synthetic weights by the usual names.

Trains four small nets (squeeze-and-excitation, ResNeXt, a D stem, grey pictures) for a few epochs
on a part of CIFAR-10 and Fashion-MNIST, deploys each with calibration images, and measures top-1 of
the fp32 and the int8 file. Then it deploys nets by their names, with weights drawn from a seed: of
this project, or with ``--zoo`` those of that folder, as checkpoints. What counts: no operator is
left in float, and the signal is 30 dB above the noise for trained weights, 25 dB for synthetic.

Run it as ``python bench/family.py --data CIFAR``. It takes a few minutes for what is trained, and
half a minute to two for each name; ``--only`` measures some, and keeps what was recorded of the
others. It prints a table, writes ``bench/results/family.json``, and exits with 1 where a bound is
missed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import resnet_deploy as rd
from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.errors import ResnetDeployError
from resnet_deploy.models.network import Network
from resnet_deploy.results import Deployment, EvalResult, to_dict
from resnet_deploy.runners.cpu import environment

RESULT = Path(__file__).parent / "results" / "family.json"
FASHION = Path("/usr/share/datasets/fashion-mnist")
COMMAND = "python bench/family.py --data CIFAR"
LEAST_TRAINED, LEAST_SYNTHETIC = 30.0, 25.0
"""Decibels between the logits of PyTorch and what int8 changes in them."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A net that is trained here: a name for ``--model`` and what its pictures are."""

    model: str
    grey: bool = False
    stem: str | None = None
    size: int | None = None


TRAINED = (
    Trained(model="seresnet20"),
    Trained(model="resnext11_4x4d"),
    Trained(model="resnet20d", stem="imagenet", size=64),
    Trained(model="resnet20", grey=True),
)
SYNTHETIC = (
    "resnet10t",
    "resnet26d",
    "resnet34d",
    "seresnet18",
    "seresnet50",
    "legacy_seresnet50",
    "ecaresnet26t",
    "ecaresnetlight",
    "resnetblur50",
    "resnetaa50",
    "resnetrs50",
    "resnetv2_50",
    "resnext50_32x4d",
    "wide_resnet50_2",
    "seresnext26d_32x4d",
)


def trained_row(net: Trained, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train, deploy and evaluate ``net``."""
    data = given.fashion if net.grey else given.data
    name = f"{net.model}, grey" if net.grey else net.model
    run = folder / name
    started = time.perf_counter()
    result = rd.train(
        data,
        run,
        model=net.model,
        stem=net.stem,
        image_size=net.size,
        in_channels=1 if net.grey else None,
        recipe="cifar-fast",
        epochs=given.epochs,
        limit=given.limit,
        threads=given.threads,
    )
    if result.interrupted:
        raise SystemExit("stopped")
    seconds = time.perf_counter() - started
    network = rd.load(run)
    row = deployed_row(network, folder / f"{name} files", data, given.threads)
    paths = row.pop("paths")
    top1 = {}
    for precision, path in paths.items():
        answers = rd.evaluate(path, data, limit=given.limit, threads=given.threads)
        assert isinstance(answers, EvalResult)
        top1[precision] = answers.top1
    return {
        "net": name,
        "weights": "trained",
        "calibration": "Fashion-MNIST" if net.grey else "CIFAR-10",
        "train_images": result.train_images,
        "epochs": given.epochs,
        "training_seconds": round(seconds, 1),
        **row,
        "top1": top1,
        "least_sqnr_db": LEAST_TRAINED,
    }


def synthetic_row(name: str, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Deploy the net called ``name``, with weights from a seed."""
    kept = zoo_file(given.zoo, name, folder) if given.zoo else None
    network = rd.load(model=name, image_size=given.size) if kept is None else rd.load(kept)
    row = deployed_row(network, folder / name, given.photos, given.threads)
    del row["paths"]
    weights = "synthetic" if kept is None else "zoo"
    return {
        "net": name,
        "weights": weights,
        "calibration": "noise" if given.photos is None else "photos",
        **row,
        "least_sqnr_db": LEAST_SYNTHETIC,
    }


def zoo_file(zoo: Path, name: str, folder: Path) -> Path | None:
    """Write the checkpoint that ``zoo`` describes, with its config; None: it has no such net."""
    described = next(zoo.glob(f"*-{name}.json"), None)
    if described is None:
        return None
    spec = importlib.util.spec_from_file_location("seeded", zoo / "seeded.py")
    assert spec is not None
    assert spec.loader is not None
    seeded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(seeded)
    net = json.loads(described.read_text())
    path = folder / f"{name} weights" / "net.pth"
    path.parent.mkdir()
    state = seeded.state(net["keys"])
    torch.save({key: torch.from_numpy(np.asarray(array)) for key, array in state.items()}, path)
    if net.get("config") is not None:
        (path.parent / "config.json").write_text(json.dumps(net["config"]))
    return path


def deployed_row(
    network: Network | rd.Artifact, out: Path, data: Path | None, threads: int
) -> dict[str, Any]:
    """Return what is known of the files of ``network``, and their ``paths``."""
    assert isinstance(network, Network)
    made: Deployment = rd.deploy(
        network,
        out,
        calibration=data,
        allow_float_ops=True,
        witness=False,
        threads=threads,
    )
    assert made.inspection is not None
    cases = [case for case in made.parity["int8"].cases if case.top1_equal]
    # A single picture's figure is a matter of luck.
    most = max(case.samples for case in cases)
    worst = min((c for c in cases if c.samples == most), key=lambda case: case.worst.sqnr_db)
    return {
        "name": network.spec.name,
        "image_size": network.spec.image_size,
        "parameters": sum(p.numel() for p in network.module.parameters()),
        "float_operators": [f"{op.op_type} of {op.layer}" for op in made.inspection.float_ops],
        "sqnr_db": round(worst.worst.sqnr_db, 2),
        "agreement": worst.agreement,
        "compared_images": worst.samples,
        "fp32_relative": max(case.relative for case in made.parity["fp32"].cases),
        "seconds": round(made.seconds, 1),
        "paths": made.files,
    }


def rows(given: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the figures of every net that was asked for."""
    wanted = set(given.only)
    for net in TRAINED:
        if wanted and net.model not in wanted and "trained" not in wanted:
            continue
        if net.grey and not given.fashion.is_dir():
            print(f"{net.model}, grey: left out, no Fashion-MNIST is at {given.fashion}")
            continue
        yield trained_row(net, given, folder)
    for name in SYNTHETIC:
        if not wanted or name in wanted or "synthetic" in wanted:
            yield synthetic_row(name, given, folder)


def holds(row: dict[str, Any]) -> bool:
    return not row["float_operators"] and row["sqnr_db"] >= row["least_sqnr_db"]


def table(found: list[dict[str, Any]]) -> Table:
    shown = Table(caption="SQNR and equal top-1 are against the PyTorch module")
    for number, column in enumerate(
        ("net", "weights", "px", "float operators", "SQNR", "equal top-1", "fp32", "int8")
    ):
        shown.add_column(column, justify="right" if number > 1 else "left")
    for row in found:
        top1 = row.get("top1", {})
        shown.add_row(
            row["net"],
            row["weights"],
            str(row["image_size"]),
            str(len(row["float_operators"])),
            f"{row['sqnr_db']:.1f} dB",
            f"{row['agreement']:.1%}",
            *(f"{top1[name]:.2%}" if name in top1 else "" for name in ("fp32", "int8")),
        )
    return shown


def recorded(path: Path) -> list[dict[str, Any]]:
    """Return the rows of an earlier run."""
    return json.loads(path.read_bytes())["nets"] if path.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="with CIFAR's train/ and test/")
    parser.add_argument("--fashion", type=Path, default=FASHION, help="IDX files; else left out")
    parser.add_argument("--photos", type=Path, help="to calibrate synthetic weights; else noise")
    parser.add_argument("--zoo", type=Path, help="folder of NAME.json and seeded.py")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--limit", type=int, default=5_000, help="images of each part")
    parser.add_argument("--size", type=int, default=224, help="pixels, for synthetic weights")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], help="names, trained, synthetic")
    parser.add_argument("-o", "--out", type=Path, default=RESULT)
    given = parser.parse_args()
    before = {(row["net"], row["weights"]): row for row in recorded(given.out) if given.only}
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(given, Path(folder)):
            print(f"{row['net']}: {row['sqnr_db']:.1f} dB, {row['float_operators']}", flush=True)
            found.append(row)
            kept = [*({**before, **{(r["net"], r["weights"]): r for r in found}}).values()]
            record = {"environment": to_dict(environment(COMMAND)), "nets": kept}
            write_atomically(given.out, (json.dumps(record, indent=1) + "\n").encode())
    Console(width=120).print(table(found))
    raise SystemExit(0 if found and all(holds(row) for row in found) else 1)


if __name__ == "__main__":
    try:
        main()
    except ResnetDeployError as problem:
        raise SystemExit(str(problem)) from problem
