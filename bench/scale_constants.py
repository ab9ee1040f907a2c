"""What a picture, a shard and a result cost on this machine: the constants of ``scale.py``.

    python bench/scale_constants.py --photos DIR [--pictures 125]

``DIR`` has photos of full size. The net is a ResNet-50 with random weights, which cost what trained
ones do. Times are seconds of a processor, of one thread, so that less depends on what else runs.
The last part asks a Ray of this machine for empty shards (extra ``cluster``). The record is
``results/scale_constants.json``.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest import mock

import numpy as np
from whole_commands import HERE, run

from resnet_deploy import api
from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.data.folder import image_files
from resnet_deploy.data.images import read_image
from resnet_deploy.data.preprocess import input_preprocess, prepare
from resnet_deploy.errors import RunnerError
from resnet_deploy.evaluation import confidences, ranks
from resnet_deploy.processes.ray_cluster import connected
from resnet_deploy.quantization import static
from resnet_deploy.quantization.calibrate import observe
from resnet_deploy.quantization.histogram import ActivationHistograms
from resnet_deploy.results import to_dict
from resnet_deploy.runners.cpu import environment
from resnet_deploy.runners.ort_runner import OrtRunner
from resnet_deploy.spec import ClusterSpec, SessionSpec

RESULT = Path(__file__).parent / "results" / "scale_constants.json"
BATCH: Final = 8
CLASSES: Final = 1000
SHARD: Final = 16
COMMAND: Final = "python bench/scale_constants.py --photos DIR"
ONE_CORE: Final = SessionSpec(threads=1, spin=False)


class CapturedError(Exception):
    """The histograms are there, and quantizing need not go on."""


def seconds(work: Callable[[], object], *, rounds: int = 5, times: int = 1) -> float:
    """Return the processor's seconds that ``work`` takes: the median of some rounds."""
    found = []
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(times):
            work()
        found.append((time.process_time() - start) / times)
    return statistics.median(found)


def each_seconds(
    work: Callable[[Any], Any], things: Sequence[Any]
) -> tuple[list[float], list[Any]]:
    """Return the processor's seconds for each of ``things``, and what was made of them."""
    taken, made = [], []
    for thing in things:
        start = time.process_time()
        made.append(work(thing))
        taken.append(time.process_time() - start)
    return taken, made


def pictures(photos: Path, count: int, model: Path) -> tuple[dict[str, float], list[Any]]:
    """Return what pictures cost until they are inputs of ``model``, and the inputs."""
    files = image_files(photos)[:count]
    contract = input_preprocess(load(model))
    read_image(files[0])
    decoding, images = each_seconds(read_image, files)
    preparing, inputs = each_seconds(lambda image: prepare(image, contract), images)
    both = [sum(pair) for pair in zip(decoding, preparing, strict=True)]
    return {
        "count": len(files),
        "bytes": statistics.mean(file.stat().st_size for file in files),
        "pixels": statistics.mean(image.width * image.height for image in images),
        "decode": statistics.mean(decoding),
        "resize": statistics.mean(preparing),
        "spread_of_one": statistics.stdev(both) / statistics.mean(both),
    }, inputs


def inference(model: Path, inputs: Sequence[Any]) -> float:
    """Return what a picture costs in batches of ``BATCH``."""
    runner, batch = OrtRunner(model, ONE_CORE), np.stack(inputs[:BATCH])
    runner.infer(batch)
    return seconds(lambda: runner.infer(batch)) / BATCH


def counting(model: Path, inputs: Sequence[Any], photos: Path) -> dict[str, float]:
    """Return what calibration costs: a picture, and the result of a shard."""
    found: dict[str, float] = {}

    def measured(prepared: Any, names: Sequence[str], _: Any, **others: Any) -> Any:
        batches = [np.stack(inputs[at : at + BATCH]) for at in range(0, SHARD, BATCH)]
        others |= {"images": SHARD, "threads": 1, "workers": 1, "cache": None}

        def count() -> dict[str, Any]:
            return observe(prepared, names, batches, **others)

        opening = seconds(lambda: observe(prepared, names, [], **others), rounds=3)
        found["observe"] = (seconds(count, rounds=3) - opening) / SHARD
        one, total = ActivationHistograms(count(), SHARD), ActivationHistograms.of(names)
        packed = one.to_bytes()
        found["tensors"], found["result_bytes"] = len(names), len(packed)
        found["pack"] = seconds(one.to_bytes)
        found["unpack"] = seconds(lambda: ActivationHistograms.from_bytes(packed))
        found["merge"] = seconds(lambda: total.merge(one))
        raise CapturedError

    with mock.patch.object(static, "observe", measured):
        try:
            api.quantize(load(model), calibration=photos)
        except CapturedError:
            return found
    raise SystemExit("quantize asked for no histograms")


def scoring() -> float:
    """Return what ``evaluate`` does where the answers come together, for a picture."""
    scores = np.random.default_rng(0).normal(size=(BATCH, CLASSES)).astype(np.float32)
    truth = order = np.arange(CLASSES)

    def remember() -> None:
        logits = scores.astype(np.float64)
        np.isfinite(logits).all()
        ranks(logits, truth[:BATCH])
        logits.argmax(axis=1)
        confidences(logits, probabilities=False)
        logits[:, order]

    return seconds(remember, times=200) / BATCH


def starting(model: Path) -> float:
    """Return what a process costs until it has answered one picture of zeros."""
    code = (
        "import sys; from pathlib import Path; import numpy as np; "
        "from resnet_deploy.runners.ort_runner import OrtRunner; "
        "from resnet_deploy.spec import ClusterSpec, SessionSpec; "
        "runner = OrtRunner(Path(sys.argv[1]), SessionSpec(threads=1, spin=False)); "
        "runner.infer(np.zeros((1, 3, 224, 224), np.float32))"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code, str(model)], check=True, cwd=HERE)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@dataclass(frozen=True)
class EmptyShard:
    """A shard of no work, for the cluster's engine."""

    number: int

    @property
    def name(self) -> str:
        return f"shard {self.number}"

    def halves(self) -> tuple[EmptyShard, ...]:
        return ()

    def without(self, culprit: EmptyShard, why: str) -> EmptyShard:
        raise RunnerError(f"{culprit.name}: {why}")


@dataclass(frozen=True)
class EmptyJob:
    """Answers each shard with so many bytes."""

    size: int

    def open(self) -> Callable[[EmptyShard], bytes]:
        return lambda _: bytes(self.size)


def dispatching(result_bytes: int, *, shards: int = 400, workers: int = 2) -> dict[str, float]:
    """Return what a shard without work costs the driver, and all: on a Ray of this machine."""

    with connected(ClusterSpec(workers=workers), workers) as cluster:
        for count in (2 * workers, shards):  # the first ones start the workers
            wall, start = time.perf_counter(), time.process_time()
            empty = map(EmptyShard, range(count))
            found = sum(len(answer) for answer in cluster.map(EmptyJob(result_bytes), empty))
            taken = time.process_time() - start
            wall = time.perf_counter() - wall
            assert found == count * result_bytes
    return {"driver": taken / shards, "wall": wall / shards}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR")
    parser.add_argument("--pictures", type=int, default=125)
    parser.add_argument("--nets", type=Path, metavar="DIR", help="has resnet50.onnx and .int8.onnx")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="resnet-deploy-") as name:
        folder = asked.nets or Path(name)
        if asked.nets is None:
            run(HERE, ["export", "--depth", "50", "--keep-slow", "--no-verify", "-q", "-o", name])
        fp32, int8 = folder / "resnet50.onnx", folder / "resnet50.int8.onnx"
        found, inputs = pictures(asked.photos, asked.pictures, fp32)
        again = [prepare(read_image(image_files(asked.photos)[0]), input_preprocess(load(int8)))]
        calibration = counting(fp32, inputs, asked.photos)
        answers = SHARD * CLASSES * 4  # scores in float32
        record: dict[str, Any] = {
            "environment": to_dict(environment(f"{COMMAND} --pictures {len(inputs)}")),
            "batch": BATCH,
            "shard": SHARD,
            "pictures": found,
            "infer": {"fp32": inference(fp32, inputs), "int8": inference(int8, again * BATCH)},
            "score": scoring(),
            "calibration": calibration,
            "start": {"fp32": starting(fp32)},
            "model_bytes": {"fp32": fp32.stat().st_size, "int8": int8.stat().st_size},
            "answer_bytes": answers,
            "ray": {
                "answers": dispatching(answers),
                "histograms": dispatching(int(calibration["result_bytes"])),
            },
        }
    write_atomically(RESULT, (json.dumps(record, indent=1) + "\n").encode())
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
