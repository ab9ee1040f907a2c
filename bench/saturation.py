"""What it costs that no int8 sum overflows: default files against ``--allow-overflow``.

x86 CPUs without VNNI add up pairs of products in int16. Default files keep every pair within it,
whatever the image. Both files of each checkpoint, effort and input are compared with fp32 on this
CPU and on ONNX Runtime's AVX2 kernels under an emulator (fetched once by
``resnet-deploy doctor --fetch-isa-tools``), and timed alternately on one thread.

Run it as ``python bench/saturation.py --train DIR --test DIR CHECKPOINT...`` with image folders of
CIFAR-10. It prints a table and writes ``bench/results/saturation.json``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.cli.main import cli
from resnet_deploy.data.calibration import calibration_images
from resnet_deploy.data.preprocess import input_preprocess
from resnet_deploy.isa.emulated import emulate
from resnet_deploy.isa.instruction_sets import ISAS
from resnet_deploy.measure.stopwatch import Stopwatch, take_turns
from resnet_deploy.quantization.count_saturation import count_saturation
from resnet_deploy.results import to_dict
from resnet_deploy.results.interval import median_interval
from resnet_deploy.runners.base import infer_any
from resnet_deploy.runners.compare import difference_and_top1
from resnet_deploy.runners.cpu import environment
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import SessionSpec

RESULT = Path(__file__).parent / "results" / "saturation.json"
BATCH = 100
ROUNDS = 41
SUBJECTS = {"default": (), "--allow-overflow": ("--allow-overflow",)}


def export(checkpoint: Path, train: Path, folder: Path, *options: str) -> Path:
    """Write ``checkpoint`` as fp32 and int8 files; return the fp32 one."""
    arguments = ["export", "--weights", checkpoint, "--calibration", train, "-o", folder, "-q"]
    arguments += ["--target-isa", "portable", "--keep-slow"]
    cli.main([*map(str, arguments), *options], standalone_mode=False)
    return next(path for path in folder.glob("*.onnx") if not path.name.endswith(".int8.onnx"))


def logits(path: Path, images: NDArray[Any]) -> NDArray[Any]:
    with closing(OrtRunner(path)) as runner:
        starts = range(0, len(images), BATCH)
        return np.concatenate([infer_any(runner, images[i : i + BATCH]) for i in starts])


def against(reference: NDArray[Any], got: NDArray[Any]) -> dict[str, float]:
    found, same = difference_and_top1("logits", reference, got)
    return {"images": len(got), "agreement": sum(same) / len(same), "sqnr_db": found.sqnr_db}


def time_ratio(paths: list[Path], images: NDArray[Any]) -> dict[str, Any]:
    """Return how many times as long the first file takes as the second, batch 1, one thread."""
    with ExitStack() as stack:
        runners = [
            stack.enter_context(closing(OrtRunner(p, SessionSpec(threads=1)))) for p in paths
        ]
        watches = [Stopwatch(runner, images[:1], 1) for runner in runners]
        for watch in watches:
            watch.warm_up(1)
        first, second = take_turns(watches, rounds=ROUNDS, seconds=4, most_runs=50)
    ratios = tuple(a / b for a, b in zip(first, second, strict=True))
    return {"ratio": statistics.median(ratios), "interval": median_interval(ratios)}


def measure(
    checkpoint: Path, train: Path, test: Path, emulated: int, options: tuple[str, ...]
) -> dict[str, Any]:
    """Return the figures of both files of one checkpoint made with ``options``."""
    found: dict[str, Any] = {}
    files = []
    with tempfile.TemporaryDirectory() as folder:
        for subject, own in SUBJECTS.items():
            fp32 = export(checkpoint, train, Path(folder, subject), *options, *own)
            int8 = fp32.with_suffix(".int8.onnx")
            files.append(int8)
            sample = calibration_images(test, input_preprocess(load(fp32)), samples=10**6)
            images = np.concatenate(list(sample))
            reference, native = logits(fp32, images), logits(int8, images)
            few = slice(None, None, max(1, len(images) // emulated))  # of all classes
            layers = count_saturation(int8, [images[few]], data=sample.name).layers
            avx2 = emulate(ISAS["x86-avx2"], int8, images[few], batch_size=BATCH).logits
            found[subject] = {
                "here": against(reference, native),
                "avx2": against(reference[few], avx2),
                "avx2_bit_identical": bool((avx2 == native[few]).all()),
                "layers_that_can_overflow": sum(layer.risky > 0 for layer in layers),
                "layers_that_overflow": sum(layer.overflows > 0 for layer in layers),
            }
        found["time"] = time_ratio(files, images)
    return found


def table(result: dict[str, Any]) -> Table:
    shown = Table(caption="SQNR and top-1: all images; AVX2: --emulated of them; time: interleaved")
    columns = ("file", "SQNR", "same top-1", "AVX2: SQNR", "same bits", "layers at risk")
    for number, column in enumerate((*columns, "overflow", "time, default / allowed")):
        shown.add_column(column, justify="right" if number else "left")
    for name, subjects in result["files"].items():
        for subject in SUBJECTS:
            figures, time = subjects[subject], subjects["time"]
            low, high = time["interval"]
            shown.add_row(
                f"{name} {subject}",
                f"{figures['here']['sqnr_db']:.2f} dB",
                f"{figures['here']['agreement']:.2%}",
                f"{figures['avx2']['sqnr_db']:.2f} dB",
                "yes" if figures["avx2_bit_identical"] else "no",
                str(figures["layers_that_can_overflow"]),
                str(figures["layers_that_overflow"]),
                f"{time['ratio']:.3f} ({low:.3f} to {high:.3f})" if subject == "default" else "",
            )
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--train", type=Path, required=True, help="images that set the ranges")
    parser.add_argument("--test", type=Path, required=True, help="images to compare on")
    parser.add_argument("--emulated", type=int, default=200, help="of them on AVX2")
    parser.add_argument("checkpoints", type=Path, nargs="+")
    given = parser.parse_args()
    names = " ".join(path.name for path in given.checkpoints)
    kinds = itertools.product(given.checkpoints, ("fast", "best"), ("float-nchw", "uint8-nhwc"))
    result = {
        "environment": to_dict(
            environment(f"python bench/saturation.py --train TRAIN --test TEST {names}")
        ),
        "files": {
            f"{path.stem} {effort} {taken}": measure(
                path,
                given.train,
                given.test,
                given.emulated,
                ("--effort", effort, "--input", taken),
            )
            for path, effort, taken in kinds
        },
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    Console(width=150).print(table(result))


if __name__ == "__main__":
    main()
