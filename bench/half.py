"""Without quantization: fp16 files and bf16 on OpenVINO beside fp32 and int8.

Run it as ``python bench/half.py --train DIR --test DIR CHECKPOINT…`` on a machine that does nothing
else. Of each CIFAR-10 checkpoint it measures on all test images how close each way is to fp32:
SQNR, equal top-1, points of top-1. Of ResNet-34 and -50 (random weights: speed does not depend on
their values) it measures the time, batch size 1, interleaved. bf16 needs OpenVINO and a CPU with
AVX512-BF16 or AMX; without, its rows say why they are missing. It writes
``bench/results/half.json``; ``--only-accuracy`` leaves the times as an earlier run recorded them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import resnet_deploy as rd
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.benchmark import default_subjects, measure
from resnet_deploy.data.datasets import open_dataset
from resnet_deploy.data.preprocess import input_preprocess
from resnet_deploy.errors import ResnetDeployError
from resnet_deploy.fp32_baseline import Fp32Baseline, all_images
from resnet_deploy.results import to_dict
from resnet_deploy.runners.cpu import environment
from resnet_deploy.runners.registry import open_runner, runner_status
from resnet_deploy.spec import BenchSpec, SessionSpec

RESULT = Path(__file__).parent / "results" / "half.json"
COMMAND = "python bench/half.py"
DEPTHS = (34, 50)
WAYS = (
    ("fp32", "ort"),
    ("fp32", "openvino"),
    ("fp32", "openvino-bf16"),
    ("fp16", "ort"),
    ("int8", "ort"),
    ("int8", "openvino"),
)
"""Which file on which runner. Times are interleaved with the first."""


def made(
    network: rd.Network | rd.Artifact, folder: Path, calibration: Path | None
) -> dict[str, Path]:
    """Return the fp32, fp16 and int8 files of ``network``."""
    both = rd.deploy(network, folder, calibration=calibration, keep_slow=True).check()
    half = rd.deploy(both.files["fp32"], folder, calibration=calibration, precision="fp16").check()
    return {kind: Path(path) for kind, path in {**both.files, **half.files}.items()}


def accuracy(checkpoint: Path, train: Path, test: Path) -> list[dict[str, Any]]:
    """Return how close each way is to fp32 on ONNX Runtime, on all images of ``test``."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        files = made(rd.load(str(checkpoint)), Path(folder), train)
        fp32 = load(files["fp32"])
        images = all_images(open_dataset(test), input_preprocess(fp32), seed=0)
        baseline = Fp32Baseline(fp32, images, labelled=True)
        for kind, name in WAYS[1:]:
            row = {"net": files["fp32"].stem, "file": kind, "runner": name}
            try:
                file, session = files[kind], SessionSpec()
                with closing(open_runner(name, file, session)) as runner:
                    found = baseline.fidelity(runner, file, session, load(file))
            except ResnetDeployError as error:
                rows.append({**row, "error": str(error)})
                continue
            drop = found.drop
            figures = {"sqnr_db": found.sqnr_db, "agreement": found.agreement, "points_lost": drop}
            rows.append({**row, **figures, "images": found.samples})
    return rows


def speed(depth: int, seconds: float) -> dict[str, Any]:
    """Return the times of all ways, of one process each, interleaved."""
    spec = BenchSpec(rounds=20, time_limit=seconds)
    able = {status.name for status in runner_status() if status.installed}
    with tempfile.TemporaryDirectory() as folder:
        files = made(rd.load(depth=depth), Path(folder), None)
        subjects = [
            subject
            for kind, name in WAYS
            if name in able
            for subject in default_subjects([load(files[kind])], (name,), spec)
        ]
        result = to_dict(measure(subjects, spec, environment=environment(COMMAND)))
    for subject in result["subjects"]:
        subject["subject"]["model"] = Path(subject["subject"]["model"]).name
    return {"net": f"resnet{depth}", **result}


def show(record: dict[str, Any]) -> None:
    """Print what was recorded."""
    close = Table("net", "file", "runner", "SQNR", "top-1 = fp32", "points lost")
    for row in record["accuracy"]:
        what = row["net"], row["file"], row["runner"]
        if "error" in row:
            close.add_row(*what, row["error"])
            continue
        same, lost = f"{row['agreement']:.2%}", f"{row['points_lost']:+.2f}"
        close.add_row(*what, f"{row['sqnr_db']:.1f} dB", same, lost)
    console = Console()
    console.print(close)
    for run in record["speed"]:
        times = Table(run["net"], "fastest ms", "median ms")
        for samples in run["subjects"]:
            fastest, middle = f"{samples['min_ms']:.2f}", f"{samples['p50_ms']:.2f}"
            times.add_row(samples["subject"]["label"], fastest, middle)
        console.print(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoint", type=Path, nargs="*", help="of CIFAR-10 ResNets")
    parser.add_argument("--train", type=Path, required=True, help="calibration images")
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=80, help="for the times of a net, about")
    parser.add_argument("--only-accuracy", action="store_true", help="measure no time")
    given = parser.parse_args()
    record: dict[str, Any] = {"accuracy": [], "speed": []}
    if RESULT.exists():
        record = json.loads(RESULT.read_text(encoding="utf-8"))
    record["environment"] = to_dict(environment(COMMAND))
    record["accuracy"] = []
    for checkpoint in given.checkpoint:
        record["accuracy"] += accuracy(checkpoint, given.train, given.test)
    if not given.only_accuracy:
        record["speed"] = [speed(depth, given.seconds) for depth in DEPTHS]
    RESULT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    show(record)


if __name__ == "__main__":
    main()
