"""Calibration of ResNet-34 beside plain fp32 inference and ONNX Runtime's own calibrators.

Run it on a machine that does nothing else::

    python bench/calibration.py --data FOLDER [--images 1000] [--rounds 3]

FOLDER holds photos; it should hold as many as ``--images`` says. Every run is a process of its
own: speed in images per second (the photos are decoded along the way for every subject) and peak
resident memory. Calibrators that keep all activations are run on 16 and 64 images, which shows how
their memory grows; a run of more than 8 GB is stopped. The result is written to
``bench/results/calibration.json``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
from rich.console import Console
from rich.table import Table

from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.data.calibration import CalibrationImages, calibration_images
from resnet_deploy.data.preprocess import input_preprocess
from resnet_deploy.measure.stopwatch import peak_rss_bytes
from resnet_deploy.runners.cpu import default_threads, environment
from resnet_deploy.runners.ort_runner import open_session
from resnet_deploy.spec import CalibrationMethod, QuantSpec, SessionSpec

RESULTS = Path(__file__).parent / "results"
MOST_BYTES = 8_000_000_000
FEW = (16, 64)


def plain(model: Path, images: CalibrationImages) -> dict[str, float]:
    """Run the fp32 file image by image, with the threads that calibration has."""
    session = open_session(model, SessionSpec())
    name = session.get_inputs()[0].name
    warm_up = next(iter(images))[:1]
    session.run(None, {name: warm_up})
    start = time.perf_counter()
    running = 0.0
    for batch in images:
        for image in batch:
            before = time.perf_counter()
            session.run(None, {name: image[None]})
            running += time.perf_counter() - before
    return {"seconds": time.perf_counter() - start, "inference_seconds": running}


def streaming(model: Path, images: CalibrationImages, *, workers: int) -> dict[str, float]:
    """Quantize; calibration ends when the first range is chosen."""
    from resnet_deploy.quantization import static
    from resnet_deploy.quantization.calibrate import observe as original
    from resnet_deploy.quantization.ranges import choose_range

    marks: dict[str, float] = {}

    def observe(*arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        found = original(*arguments, **options)
        marks["seconds"] = time.perf_counter() - start
        for method in CalibrationMethod:
            start = time.perf_counter()
            for histogram in found.values():
                choose_range(histogram, method)
            marks[f"choose_{method.value}_seconds"] = time.perf_counter() - start
        return found

    spec = QuantSpec(workers=workers)
    with mock.patch.object(static, "observe", observe):
        static.quantize_static(read_model(model), spec, images, images=len(images))
    return marks


def onnxruntime(model: Path, images: CalibrationImages, *, method: str) -> dict[str, float]:
    """Calibrate as ``onnxruntime.quantization.quantize_static`` does, all its defaults."""
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod
    from onnxruntime.quantization.calibrate import create_calibrator
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    name = load(model).input.name

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.feeds: Iterator[Any] = ({name: image[None]} for batch in images for image in batch)

        def get_next(self) -> Any:
            return next(self.feeds, None)

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()  # opening the session counts, as it does for the others
        calibrator = create_calibrator(
            model,
            sorted({*QDQRegistry, *QLinearOpsRegistry}),
            str(Path(folder) / "augmented.onnx"),
            CalibrationMethod[method],
        )
        calibrator.collect_data(Reader())
        collected = time.perf_counter()
        calibrator.compute_data()
        end = time.perf_counter()
    return {"seconds": collected - start, "choose_seconds": end - collected}


SUBJECTS: dict[str, Callable[[Path, CalibrationImages], dict[str, float]]] = {
    "plain fp32 inference": plain,
    "resnet-deploy": lambda model, images: streaming(model, images, workers=1),
    "resnet-deploy --workers 2": lambda model, images: streaming(model, images, workers=2),
    "onnxruntime MinMax": lambda model, images: onnxruntime(model, images, method="MinMax"),
    "onnxruntime Percentile": lambda model, images: onnxruntime(model, images, method="Percentile"),
    "onnxruntime Entropy": lambda model, images: onnxruntime(model, images, method="Entropy"),
}


def run_one(subject: str, model: Path, data: Path, count: int) -> None:
    """The child's side: run one subject and print what was measured."""
    preprocess = input_preprocess(load(model))
    images = calibration_images(data, preprocess, samples=count, batch_size=2)
    if len(images) < count:
        raise SystemExit(f"{data} holds {len(images)} photos, {count} are asked for")
    measured = SUBJECTS[subject](model, images)
    print(json.dumps({**measured, "peak_rss_bytes": peak_rss_bytes()}))


def watched(subject: str, model: Path, data: Path, count: int) -> dict[str, Any]:
    """Run one subject in a child, and stop it when it takes too much memory."""
    command = [sys.executable, __file__, "--data", str(data), "--images", str(count)]
    command += ["--subject", subject, "--model", str(model)]
    result: dict[str, Any] = {"subject": subject, "images": count, "stopped": False}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        family = 0  # the peak of the process and its workers together, polled
        while process.poll() is None:
            family = max(family, _resident(process.pid))
            if family > MOST_BYTES:
                process.kill()
                result["stopped"] = True
            time.sleep(0.05)
        assert process.stdout is not None
        output = process.stdout.read()
    if process.returncode != 0 and not result["stopped"]:
        raise SystemExit(f"{subject} failed")
    result["family_peak_rss_bytes"] = family
    return result if result["stopped"] else {**result, **json.loads(output.splitlines()[-1])}


def _resident(pid: int) -> int:
    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
        return sum(process.memory_info().rss for process in family)
    except psutil.Error:  # one of them has just ended
        return 0


def plan(images: int, rounds: int) -> Iterator[tuple[str, int]]:
    """Yield the runs, those that are compared next to each other."""
    for _ in range(rounds):
        for subject in list(SUBJECTS)[:3]:
            yield subject, images
    for count in FEW:
        for subject in SUBJECTS:
            yield subject, count


def show(runs: list[dict[str, Any]]) -> None:
    """Print the table of all runs."""
    table = Table("subject", "images", "images/s", "choice of ranges", "peak memory")
    for run in runs:
        speed, choice = "stopped", ""
        if not run["stopped"]:
            speed = f"{run['images'] / run['seconds']:.1f}"
            times = {key: value for key, value in run.items() if key.startswith("choose")}
            choice = f"{max(times.values()):.2f} s" if times else ""
        memory = max(run["family_peak_rss_bytes"], run.get("peak_rss_bytes", 0)) / 1e6
        table.add_row(run["subject"], str(run["images"]), speed, choice, f"{memory:.0f} MB")
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "calibration.json")
    parser.add_argument("--subject", choices=SUBJECTS, help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.subject:
        run_one(arguments.subject, arguments.model, arguments.data, arguments.images)
        return
    with tempfile.TemporaryDirectory() as folder:
        export = ["export", "--depth", "34", "--no-int8", "--no-verify", "-o", folder]
        subprocess.run([sys.executable, "-m", "resnet_deploy", *export], check=True)
        model = Path(folder) / "resnet34.onnx"
        runs = []
        for subject, count in plan(arguments.images, arguments.rounds):
            runs.append(watched(subject, model, arguments.data, count))
            print(f"{subject}, {count} images: done", file=sys.stderr)
    show(runs)
    from resnet_deploy.results import to_dict

    record = {
        "environment": to_dict(environment("python bench/calibration.py")),
        "threads": default_threads(),
        "runs": runs,
    }
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
