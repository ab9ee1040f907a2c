"""What a residual stream in float brings and costs, on ONNX Runtime and on OpenVINO.

    python bench/residual_stream.py accuracy CHECKPOINT... --train DIR --test DIR [--seeds N...]
        [--samples N...]
    python bench/residual_stream.py efforts CHECKPOINT... --train DIR --test DIR [--seeds N...]
    python bench/residual_stream.py time [--depths 34 50] [--threads 1 2] [--rounds N]

``accuracy`` makes int8 files with the effort ``best`` from ``--samples`` images of ``--train``,
CIFAR-10 in folders, and compares their logits with fp32 on all images of ``--test``, each on the
runtime that it is laid out for. Each of ``--seeds`` draws other images: what one sample is worth is
seen in several only. ``efforts`` compares the default effort and ``best`` on checkpoints that
``train`` made, prepared as they say. ``time`` makes ImageNet nets with random weights, and runs a
file with its stream in uint8 and one in float32 alternately on the same runtime, batch 1.
OpenVINO's files have a plain first convolution. Each prints a table and writes its part of
``results/residual_stream.json``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from resnet_deploy import api
from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.data.datasets import open_dataset
from resnet_deploy.fp32_baseline import Fp32Baseline, all_images, quiet_session
from resnet_deploy.measure.stopwatch import Stopwatch, take_turns
from resnet_deploy.results import PairedTimes, to_dict
from resnet_deploy.runners.cpu import environment
from resnet_deploy.runners.registry import open_runner
from resnet_deploy.spec import InputOptions

RESULT = Path(__file__).parent / "results" / "residual_stream.json"

_CIFAR = InputOptions(
    range="0-1",
    channel_order="RGB",
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    resize="32",
    resize_mode="crop",
    interpolation="bilinear",
)
_MOST_RUNS = 50


def accuracy(given: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield a row per checkpoint, stream and runtime."""
    for checkpoint in given.checkpoints:
        net = api.load(checkpoint, input_options=_CIFAR)
        fp32 = api.save(api.export(net), folder / f"{checkpoint.stem}.onnx")
        score = _scorer(fp32, given.test)
        files = (("uint8", "ort"), ("float32", "ort"), ("float32", "openvino"))
        for samples, seed, (stream, runtime) in product(given.samples, given.seeds, files):
            made = api.quantize(
                fp32,
                calibration=given.train,
                calibration_samples=samples,
                seed=seed,
                effort="best",
                target_isa="portable",
                residual_stream=stream,
                runtime=runtime,
            )
            yield {
                "model": checkpoint.stem,
                "calibration": samples,
                "seed": seed,
                "stream": stream,
                "runtime": runtime,
                **score(made, runtime),
            }


def efforts(given: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield a row per checkpoint, seed and effort."""
    for checkpoint in given.checkpoints:
        model = checkpoint.parent.name  # the folder of its training
        fp32 = api.save(api.export(api.load(checkpoint)), folder / f"{model}.onnx")
        score = _scorer(fp32, given.test)
        for seed, effort in product(given.seeds, ("fast", "best")):
            made = api.quantize(
                fp32, calibration=given.train, seed=seed, effort=effort, target_isa="portable"
            )
            yield {"model": model, "seed": seed, "effort": effort, **score(made, "ort")}


def _scorer(fp32: Artifact, test: Path) -> Callable[[Artifact, str], dict[str, Any]]:
    """Return what compares an int8 file with ``fp32`` on all images of ``test``."""
    images = all_images(open_dataset(test), fp32.preprocess, seed=0)
    baseline = Fp32Baseline(fp32, images, labelled=True)

    def score(made: Artifact, runtime: str) -> dict[str, Any]:
        session = quiet_session(0)
        with closing(open_runner(runtime, made.path, session)) as runner:
            found = baseline.fidelity(runner, made.path, session)
        return {
            "sqnr_db": found.sqnr_db,
            "agreement": found.agreement,
            "drop": found.drop,
            "samples": found.samples,
        }

    return score


def time(given: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield a row per depth, runtime and number of threads."""
    for depth in given.depths:
        fp32 = api.save(api.export(api.load(depth=depth)), folder / f"resnet{depth}.onnx")
        for runtime in ("ort", "openvino"):
            stem = "plain" if runtime == "openvino" else "auto"
            isa = "portable" if runtime == "openvino" else "auto"
            kept = api.quantize(fp32, first_conv=stem, target_isa=isa)
            floats = api.quantize(fp32, first_conv=stem, residual_stream="float32", runtime=runtime)
            for threads in given.threads:
                session = quiet_session(threads)
                with (
                    closing(open_runner(runtime, kept.path, session)) as first,
                    closing(open_runner(runtime, floats.path, session)) as second,
                ):
                    image = np.random.default_rng(0).random((1, 3, 224, 224), np.float32)
                    watches = [Stopwatch(runner, image, 1) for runner in (first, second)]
                    turns = take_turns(
                        watches, rounds=given.rounds, seconds=given.seconds, most_runs=_MOST_RUNS
                    )
                times = PairedTimes(int8_ns=turns[0], mixed_ns=turns[1])
                yield {
                    "model": f"resnet{depth}",
                    "runtime": runtime,
                    "threads": threads,
                    "slowdown": times.slowdown,
                    "interval": times.interval,
                    "fastest": [min(ns) / 1e6 for ns in turns],
                    **asdict(times),
                }


def _shown(row: dict[str, Any]) -> dict[str, str]:
    if "sqnr_db" in row:
        names = ("model", "calibration", "seed", "effort", "stream", "runtime")
        return {
            **{name: str(row[name]) for name in names if name in row},
            "SQNR": f"{row['sqnr_db']:.2f} dB",
            "same top-1": f"{row['agreement']:.2%}",
            "points lost": f"{row['drop']:+.2f}",
        }
    low, high = row["interval"]
    return {
        "model": row["model"],
        "runtime": row["runtime"],
        "threads": str(row["threads"]),
        "times as long": f"{row['slowdown']:.3f} ({low:.3f} to {high:.3f})",
        "uint8, ms": f"{row['fastest'][0]:.2f}",
        "float32, ms": f"{row['fastest'][1]:.2f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    close = commands.add_parser("accuracy")
    close.add_argument("checkpoints", nargs="+", type=Path)
    close.add_argument("--train", required=True, type=Path)
    close.add_argument("--test", required=True, type=Path)
    close.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    close.add_argument("--samples", nargs="+", type=int, default=[512])
    own = commands.add_parser("efforts")
    own.add_argument("checkpoints", nargs="+", type=Path)
    own.add_argument("--train", required=True, type=Path)
    own.add_argument("--test", required=True, type=Path)
    own.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    fast = commands.add_parser("time")
    fast.add_argument("--depths", nargs="+", type=int, default=[34, 50])
    fast.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    fast.add_argument("--rounds", type=int, default=20)
    fast.add_argument("--seconds", type=float, default=20.0, help="for all rounds together")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = {"accuracy": accuracy, "efforts": efforts, "time": time}
        rows = list(measured[given.command](given, Path(folder)))
    table = Table(*_shown(rows[0]), title=f"The residual stream: {given.command}")
    for row in rows:
        table.add_row(*_shown(row).values())
    Console(width=110).print(table)
    known = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    where = to_dict(environment(f"python bench/residual_stream.py {given.command}"))
    known[given.command] = {"environment": where, "rows": rows}
    RESULT.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
