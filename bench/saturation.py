"""Int8 files on x86 CPUs without VNNI: what overflows, what it costs, and what prevents it.

Three int8 files of each checkpoint are compared with fp32, on this CPU and on ONNX Runtime's AVX2
kernels under an emulator (fetched once by ``resnet-deploy doctor --fetch-isa-tools``):

- ``portable``: weights use all 8 bits;
- ``x86-avx2``: the channels with pairs of weights that could overflow get a larger scale;
- ``7-bit``: every weight keeps to [-63, 63], the usual way (``reduce_range``).

Run it as ``python bench/saturation.py --train DIR --test DIR CHECKPOINT...`` with image folders of
CIFAR-10. It prints a table and writes ``bench/results/saturation.json``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

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
from resnet_deploy.quantization import kernels
from resnet_deploy.quantization.count_saturation import count_saturation
from resnet_deploy.quantization.kernels import safe_scale
from resnet_deploy.results import to_dict
from resnet_deploy.runners.base import infer_any
from resnet_deploy.runners.compare import difference_and_top1
from resnet_deploy.runners.cpu import environment
from resnet_deploy.runners.ort_runner import OrtRunner

RESULT = Path(__file__).parent / "results" / "saturation.json"
BATCH = 100
SUBJECTS = ("portable", "x86-avx2", "7-bit")


def seven_bits(weight: NDArray[Any], axis: int = 0) -> NDArray[np.float32]:
    """Return the scale, by output channel, at which all codes lie in [-63, 63]."""
    rows = np.moveaxis(np.abs(weight), axis, 0).reshape(weight.shape[axis], -1)
    scale: NDArray[np.float32] = (rows.max(axis=1) / 63).astype(np.float32)
    return scale


def export(checkpoint: Path, train: Path, subject: str, folder: Path) -> Path:
    """Write ``checkpoint`` as fp32 and int8 files; return the fp32 one."""
    target = "x86-avx2" if subject == "7-bit" else subject
    arguments = ["export", "--weights", checkpoint, "--calibration", train, "-o", folder, "-q"]
    scale = seven_bits if subject == "7-bit" else safe_scale
    with mock.patch.object(kernels, "safe_scale", scale):
        cli.main([*map(str, arguments), "--target-isa", target], standalone_mode=False)
    return next(path for path in folder.glob("*.onnx") if not path.name.endswith(".int8.onnx"))


def logits(path: Path, images: NDArray[Any]) -> NDArray[Any]:
    with closing(OrtRunner(path)) as runner:
        starts = range(0, len(images), BATCH)
        return np.concatenate([infer_any(runner, images[i : i + BATCH]) for i in starts])


def against(reference: NDArray[Any], got: NDArray[Any]) -> dict[str, float]:
    found, same = difference_and_top1("logits", reference, got)
    return {"images": len(got), "agreement": sum(same) / len(same), "sqnr_db": found.sqnr_db}


def measure(checkpoint: Path, train: Path, test: Path, emulated: int) -> dict[str, Any]:
    """Return the figures of all subjects of one checkpoint."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for subject in SUBJECTS:
            fp32 = export(checkpoint, train, subject, Path(folder, subject))
            int8 = fp32.with_suffix(".int8.onnx")
            sample = calibration_images(test, input_preprocess(load(fp32)), samples=10**6)
            images = np.concatenate(list(sample))
            reference, native = logits(fp32, images), logits(int8, images)
            few = slice(None, None, max(1, len(images) // emulated))  # of all classes
            report = to_dict(count_saturation(int8, [images[few]], data=sample.name))
            report["model"] = int8.name
            avx2 = emulate(ISAS["x86-avx2"], int8, images[few], batch_size=BATCH).logits
            found[subject] = {
                "here": against(reference, native),
                "here_same_images": against(reference[few], native[few]),
                "avx2": against(reference[few], avx2),
                "avx2_bit_identical": bool((avx2 == native[few]).all()),
                "saturation": report,
            }
    return found


def table(result: dict[str, Any]) -> Table:
    shown = Table(caption="first two columns: all images; AVX2 and overflows: --emulated of them")
    columns = ("file", "SQNR", "same top-1", "AVX2: SQNR", "same top-1", "same bits")
    for number, column in enumerate((*columns, "layers", "overflows", "outputs touched")):
        shown.add_column(column, justify="right" if number else "left")
    for name, subjects in result["checkpoints"].items():
        for subject, figures in subjects.items():
            layers = figures["saturation"]["layers"]
            shown.add_row(
                f"{name} {subject}",
                f"{figures['here']['sqnr_db']:.2f} dB",
                f"{figures['here']['agreement']:.2%}",
                f"{figures['avx2']['sqnr_db']:.2f} dB",
                f"{figures['avx2']['agreement']:.2%}",
                "yes" if figures["avx2_bit_identical"] else "no",
                str(sum(layer["overflows"] > 0 for layer in layers)),
                f"{sum(layer['overflows'] for layer in layers):,}",
                f"{sum(layer['touched'] for layer in layers):,}",
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
    result = {
        "environment": to_dict(
            environment(f"python bench/saturation.py --train TRAIN --test TEST {names}")
        ),
        "checkpoints": {
            path.stem: measure(path, given.train, given.test, given.emulated)
            for path in given.checkpoints
        },
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    Console(width=150).print(table(result))


if __name__ == "__main__":
    main()
