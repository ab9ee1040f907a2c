"""What each step of the accuracy engine brings, alone and together, beside peers.

Run it as ``python bench/accuracy.py --train DIR --test DIR CHECKPOINT...`` with image folders of
CIFAR-10 and its ResNets. All int8 files are made from the same fp32 file with the same 512 images,
and compared with it on all test images. It prints a table and writes
``bench/results/accuracy.json``; with ``--only GLOB`` it makes some of the files, and only prints.
NNCF takes part where the interpreter given by ``--nncf PYTHON`` has it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
from adaround import AdaRound
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from resnet_deploy.artifact.model_file import read_model
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.cli.main import cli
from resnet_deploy.data.calibration import CalibrationImages, calibration_images
from resnet_deploy.data.datasets import open_dataset
from resnet_deploy.data.preprocess import input_preprocess
from resnet_deploy.evaluation import score
from resnet_deploy.quantization import ranges, static, weights
from resnet_deploy.quantization.equalize import Equalized
from resnet_deploy.report.views.evaluation import difference
from resnet_deploy.results import to_dict
from resnet_deploy.runners.cpu import environment
from resnet_deploy.spec import CalibrationMethod, Effort, QuantSpec

RESULT = Path(__file__).parent / "results" / "accuracy.json"

PICTURES = (
    *("--channel-order", "rgb", "--range", "0,1"),
    *("--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"),
)
"""How the checkpoints' pictures were prepared. What is only assumed never becomes exact pixels."""

NNCF = """
import sys, numpy as np, nncf, onnx
source, images, target, fast = sys.argv[1:]
model = onnx.load(source)
name = model.graph.input[0].name
data = nncf.Dataset([{name: image[None]} for image in np.load(images)])
onnx.save(nncf.quantize(model, data, subset_size=512, fast_bias_correction=fast == "fast"), target)
"""


class Maker:
    """Makes one int8 file of ``fp32`` after another, with parts of the engine switched off."""

    def __init__(self, fp32: Path, images: CalibrationImages) -> None:
        self.fp32 = fp32
        self.images = images

    def ours(
        self,
        method: CalibrationMethod = CalibrationMethod.MSE,
        *,
        clipping: float | None = None,
        pixels: bool = False,
        means: bool = False,
        effort: Effort = Effort.FAST,
        allow_overflow: bool = False,
        adaround: bool = False,
        equalized: bool = False,
        sums: bool = False,
    ) -> onnx.ModelProto:
        """Return the int8 graph; ``clipping`` None is the engine's own weight.

        ``sums``: ranges in front of an Add are those of least error behind its ReLU.
        """
        with ExitStack() as stack:
            if clipping is not None:
                stack.enter_context(mock.patch.object(ranges, "_CLIPPED", clipping))
            if not means and effort is Effort.FAST:
                stack.enter_context(mock.patch.object(static, "layer_moments", _nothing))
            if adaround:
                stack.enter_context(mock.patch.object(weights, "Compensation", AdaRound))
            if not equalized:
                stack.enter_context(mock.patch.object(static, "equalize", _as_it_is))
            if not sums:
                stack.enter_context(mock.patch.object(static, "relu_terms", return_value=[]))
            return static.quantize_static(
                read_model(self.fp32),
                QuantSpec(calibration_method=method, effort=effort, allow_overflow=allow_overflow),
                self.images,
                images=len(self.images),
                preprocess=self.images.preprocess if pixels else None,
            ).write()

    def onnxruntime(self, method: str, *, defaults: bool = False) -> onnx.ModelProto:
        """Return what ``onnxruntime.quantization`` makes: U8S8 by channel, or its defaults."""
        from onnxruntime.quantization import CalibrationMethod as Method
        from onnxruntime.quantization import QuantType, quantize_static
        from onnxruntime.quantization.calibrate import CalibrationDataReader

        name = read_model(self.fp32).graph.input[0].name

        class Reader(CalibrationDataReader):  # type: ignore[misc]
            def __init__(self, images: CalibrationImages) -> None:
                self._batches = iter(images)

            def get_next(self) -> dict[str, NDArray[np.float32]] | None:
                batch = next(self._batches, None)
                return None if batch is None else {name: batch}

        options: dict[str, Any] = {"calibrate_method": getattr(Method, method)}
        if not defaults:
            options |= {"activation_type": QuantType.QUInt8, "per_channel": True}
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder, "int8.onnx")
            quantize_static(str(self.fp32), str(target), Reader(self.images), **options)
            return onnx.load(str(target))

    def nncf(self, python: Path, *, fast: bool) -> onnx.ModelProto:
        """Return what NNCF makes, with its fast bias correction or the accurate one."""
        with tempfile.TemporaryDirectory() as folder:
            images, target = Path(folder, "images.npy"), Path(folder, "int8.onnx")
            np.save(images, np.concatenate(list(self.images)))
            mode = "fast" if fast else "accurate"
            command = [python, "-c", NNCF, self.fp32, images, target, mode]
            subprocess.run([str(argument) for argument in command], check=True, capture_output=True)
            return onnx.load(str(target))


def _as_it_is(prepared: onnx.ModelProto, *_: object, **__: object) -> Equalized:
    return Equalized(prepared, {})


def _nothing(*_: object, **__: object) -> Iterator[Any]:
    return iter(())


def subjects(nncf: Path | None) -> dict[str, Callable[[Maker], onnx.ModelProto]]:
    """Return every int8 file that takes part, by name."""
    minmax, mse = CalibrationMethod.MINMAX, CalibrationMethod.MSE
    peers: dict[str, Callable[[Maker], onnx.ModelProto]] = {
        "ORT defaults (S8S8, MinMax)": lambda m: m.onnxruntime("MinMax", defaults=True),
        "ORT MinMax, U8S8 by channel": lambda m: m.onnxruntime("MinMax"),
        "ORT Percentile, U8S8 by channel": lambda m: m.onnxruntime("Percentile"),
        "ORT Entropy, U8S8 by channel": lambda m: m.onnxruntime("Entropy"),
    }
    if nncf is not None:
        peers["NNCF, defaults"] = lambda m: m.nncf(nncf, fast=True)
        peers["NNCF, accurate bias correction"] = lambda m: m.nncf(nncf, fast=False)
    return peers | {
        "minmax, nothing else": lambda m: m.ours(minmax),
        "MSE ranges": lambda m: m.ours(mse, clipping=1),
        "MSE ranges, clipping weighted": lambda m: m.ours(),
        "minmax + exact pixels": lambda m: m.ours(minmax, pixels=True),
        "minmax + bias and weight scales": lambda m: m.ours(minmax, means=True),
        "minmax + weights rounded together": lambda m: m.ours(minmax, effort=Effort.BEST),
        "minmax + equalisation": lambda m: m.ours(minmax, equalized=True),
        "fast, not equalised": lambda m: m.ours(pixels=True, means=True, sums=True),
        "fast": lambda m: m.ours(pixels=True, means=True, equalized=True, sums=True),
        "best, ranges of sums alone": lambda m: m.ours(pixels=True, effort=Effort.BEST, sums=True),
        "best, equalised alone": lambda m: m.ours(pixels=True, effort=Effort.BEST, equalized=True),
        "best, neither": lambda m: m.ours(pixels=True, effort=Effort.BEST),
        "best": lambda m: m.ours(pixels=True, effort=Effort.BEST, equalized=True, sums=True),
        "best, overflow allowed": lambda m: m.ours(
            pixels=True, effort=Effort.BEST, allow_overflow=True, equalized=True, sums=True
        ),
        "best, rounded by AdaRound": lambda m: m.ours(
            pixels=True, effort=Effort.BEST, adaround=True, equalized=True, sums=True
        ),
    }


def measure(
    checkpoint: Path, train: Path, test: Path, nncf: Path | None, only: str
) -> list[dict[str, Any]]:
    """Return one row per int8 file of ``checkpoint`` whose name matches the glob ``only``."""
    rows = []
    data = open_dataset(test)
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["export", "--weights", str(checkpoint), "--no-int8", "-q", "-o", folder]
        cli.main([*arguments, *PICTURES], standalone_mode=False)
        fp32 = next(Path(folder).glob("*.onnx"))
        images = calibration_images(train, input_preprocess(load(fp32)))
        chosen = {n: make for n, make in subjects(nncf).items() if fnmatchcase(n, only)}
        for name, make in chosen.items():
            start = time.perf_counter()
            model = make(Maker(fp32, images))
            seconds = time.perf_counter() - start
            target = Path(folder, "candidate.onnx")
            # With the card of the fp32 file, which says how images are prepared.
            del model.metadata_props[:]
            model.metadata_props.extend(read_model(fp32).metadata_props)
            onnx.save(model, str(target))
            result = score(target, data, against=fp32)
            assert result.against is not None
            assert result.paired is not None
            rows.append(
                {
                    "model": fp32.stem,
                    "subject": name,
                    "sqnr_db": result.against.sqnr_db,
                    "agreement": result.against.agreement,
                    "top1": result.top1,
                    "fp32_top1": result.against.top1,
                    "drop": difference(result.paired),
                    "p_value": result.paired.p_value,
                    "samples": result.samples,
                    "seconds": seconds,
                }
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", nargs="+", type=Path)
    parser.add_argument("--train", required=True, type=Path)
    parser.add_argument("--test", required=True, type=Path)
    parser.add_argument("--nncf", type=Path, help="a Python interpreter that has NNCF")
    parser.add_argument("--only", default="*", help="a glob of the int8 files to make")
    given = parser.parse_args()
    rows = []
    for checkpoint in given.checkpoints:
        rows += measure(checkpoint, given.train, given.test, given.nncf, given.only)
    table = Table(title="int8 against fp32, 512 calibration images, all test images")
    for heading in ("model", "int8 file", "SQNR", "same top-1", "top-1", "p", "seconds"):
        table.add_column(heading)
    for row in rows:
        table.add_row(
            row["model"],
            row["subject"],
            f"{row['sqnr_db']:.2f} dB",
            f"{row['agreement']:.2%}",
            f"{row['top1'] - row['fp32_top1']:+.2%}",
            f"{row['p_value']:.2f}",
            f"{row['seconds']:.1f}",
        )
    Console(width=120).print(table)
    if given.only != "*":  # the record has them all
        return
    where = to_dict(environment("python bench/accuracy.py --train DIR --test DIR CHECKPOINT..."))
    RESULT.write_text(
        json.dumps({"environment": where, "rows": rows}, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
