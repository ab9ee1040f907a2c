"""The C++ bundle beside the Python runner, and beside NNCF's file on OpenVINO.

    python bench/cpp_latency.py [--photos DIR] [--depth 34 50] [FILE.onnx …] [--runtime ort]

On ONNX Runtime: our fp32 file and the int8 file for this CPU. On OpenVINO: the int8 file over bytes
with a plain first convolution, in C++, by the Python runner, and the file that NNCF makes of the
same fp32 file with the same photos, run by OpenVINO as it comes. Weights are random: speed does not
depend on their values. NNCF gets an environment of its own, as in ``make bench``. Files that are
named are measured in their place, without NNCF.

All sides run as subjects of ``resnet_deploy.benchmark``: processes of their own, interleaved,
ratios paired. A run is the network on a prepared input, batch size 1. ``results/cpp_latency.json``
gets the ratios and every single run.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from peers.catalog import PRODUCTS
from peers.environments import python_of, variables
from peers.nets import Net, prepare
from peers.produce import produce

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.benchmark import default_subjects, measure
from resnet_deploy.bundles.bundling import pack
from resnet_deploy.measure.process import CHILD, SubjectProcess
from resnet_deploy.measure.stopwatch import Process
from resnet_deploy.results import BenchmarkResult, BenchSubject
from resnet_deploy.runners.cpu import environment
from resnet_deploy.spec import BenchSpec, BundleRuntime, BundleTarget

RESULTS = Path(__file__).parent / "results" / "cpp_latency.json"

LIMIT = 1.03
"""C++ over Python, the same file and options."""

BELOW_NNCF = 0.98

PYTHON, CPP, NNCF = "Python", "C++", "NNCF"
_RUNNERS = {BundleRuntime.ORT: "ort", BundleRuntime.OPENVINO: "openvino"}
_PRODUCTS = {BundleRuntime.ORT: ("fp32", "ours"), BundleRuntime.OPENVINO: ("bytes-plain",)}


def made(net: Net, key: str) -> Path:
    """Return the file of ``net`` that a product of ``make bench`` is, made or kept."""
    (product,) = (product for product in PRODUCTS if product.key == key)
    found = produce(product, net, 1)
    if "error" in found:
        raise SystemExit(f"{net.name} {key}: {found['error']}")
    return Path(found["model"])


def compiled(bundle: Path, runtime: BundleRuntime) -> None:
    """Build the subject with the headers of ``bundle``, and the module that opens OpenVINO."""
    if runtime is BundleRuntime.OPENVINO:
        for command in (
            ("cmake", "-S", ".", "-B", "build", "-DRESNET_PROGRAMS=OFF"),
            ("cmake", "--build", "build", "--target", "resnet_openvino"),
        ):
            subprocess.run(command, cwd=bundle, check=True, stdout=subprocess.DEVNULL)
    third = bundle / "third_party"
    folders = [bundle / "build", *sorted(third.glob("*/lib"))]
    subprocess.run(
        [
            *("c++", "-std=c++17", "-O2", "-ffp-contract=off", "-I", str(bundle / "include")),
            *("-isystem", str(third / "onnxruntime/include")),
            str(Path(__file__).parent / "cpp_child.cpp"),
            *(f"-Wl,-rpath,{folder}" for folder in folders),
            *("-ldl", "-pthread", "-o", str(bundle / "cpp_child")),
        ],
        check=True,
    )


def compared(
    model: Path, runtime: BundleRuntime, bundle: Path, nncf: Path | None, spec: BenchSpec
) -> BenchmarkResult:
    """Measure ``model`` in Python and in C++, and the file ``nncf``, interleaved."""
    commands = {
        PYTHON: CHILD,
        CPP: (str(bundle / "cpp_child"), str(bundle)),
        NNCF: (python_of("openvino"), "-m", "peers.nncf", "serve"),
    }

    def start(subject: BenchSubject, folder: Path) -> Process:
        own = folder / subject.label
        own.mkdir(exist_ok=True)
        return SubjectProcess(subject, own, commands[subject.label])

    python = replace(default_subjects([load(model)], (_RUNNERS[runtime],), spec)[0], label=PYTHON)
    # All ratios are those of the first one's time over the others'.
    subjects = [replace(python, label=CPP), python]
    if nncf is not None:
        size = max(python.input_shape)
        subjects.append(
            replace(
                python,
                label=NNCF,
                runner="openvino:dynamic",  # what OpenVINO does when nothing is asked of it
                model=str(nncf),
                input_shape=(3, size, size),
                input_dtype="float32",
            )
        )
    return measure(
        subjects, spec, environment=environment("python bench/cpp_latency.py"), start=start
    )


def over(result: BenchmarkResult, reference: str) -> dict[str, float | None]:
    """Return the time of C++ over that of ``reference``: pairs of rounds, with their interval."""
    for ratio in result.ratios:
        if (ratio.reference, ratio.subject) == (CPP, reference):
            # Too few rounds have no interval.
            low, high = (end if 0 < end < math.inf else None for end in (ratio.low, ratio.high))
            return {"median": ratio.median, "low": low, "high": high, "minima": ratio.minima}
    raise SystemExit(f"no ratio of {CPP} and {reference} was measured")


def said(name: str, found: dict[str, float | None]) -> str:
    low, high = ("?" if found[key] is None else f"{found[key]:.3f}" for key in ("low", "high"))
    return f"{found['median']:.3f} ({low} to {high}; fastest runs {found['minima']:.3f}) of {name}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs="*", metavar="FILE.onnx")
    parser.add_argument("--photos", type=Path, help="calibrate; synthetic images do without")
    parser.add_argument("--depth", type=int, nargs="+", default=[34, 50])
    parser.add_argument("--runtime", nargs="+", choices=("ort", "openvino"))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=40, help="time limit of each comparison")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", type=Path, default=RESULTS)
    asked = parser.parse_args()
    os.environ.update(variables())

    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (model, runtime, nncf) in enumerate(subjects(asked)):
            bundle = Path(folder) / f"bundle-{number}"
            pack(model, BundleTarget.CPP, bundle, runtime=runtime, with_runtime=True)
            compiled(bundle, runtime)
            for threads in asked.threads:
                spec = BenchSpec(threads=threads, rounds=asked.rounds, time_limit=asked.seconds)
                runs.append(record(model, threads, compared(model, runtime, bundle, nncf, spec)))
    here = environment("python bench/cpp_latency.py")
    found = {"cpu": here.cpu, "cores": here.cores, "versions": here.versions, "runs": runs}
    write_atomically(asked.json, (json.dumps(found, indent=1) + "\n").encode())
    if not all(run["good"] for run in runs):
        sys.exit(1)


def subjects(asked: argparse.Namespace) -> Iterator[tuple[Path, BundleRuntime, Path | None]]:
    """Yield what is compared: a file, the runtime, and NNCF's file of the same net."""
    runtimes = [BundleRuntime(word) for word in asked.runtime or ("ort", "openvino")]
    if asked.models:
        yield from ((model, runtime, None) for model in asked.models for runtime in runtimes)
        return
    for depth in asked.depth:
        net = prepare(depth, asked.photos, None, None)
        for runtime in runtimes:
            nncf = made(net, "nncf") if runtime is BundleRuntime.OPENVINO else None
            for product in _PRODUCTS[runtime]:
                yield made(net, product), runtime, nncf


def record(model: Path, threads: int, result: BenchmarkResult) -> dict[str, Any]:
    """Return one comparison, and print it."""
    runner = result.subjects[0].subject.runner
    python = over(result, PYTHON)
    median = python["median"]
    good = median is not None and median <= LIMIT
    text = f"{model.name} on {runner}, {threads} threads: C++ takes "
    text += said("Python's time", python)
    run: dict[str, Any] = {
        "model": model.name,
        "runner": runner,
        "threads": threads,
        "cpp_over_python": python,
    }
    if any(samples.subject.label == NNCF for samples in result.subjects):
        run["cpp_over_nncf"] = nncf = over(result, NNCF)
        good = good and nncf["median"] is not None and nncf["median"] <= BELOW_NNCF
        text += f", {said('NNCF on OpenVINO', nncf)}"
    print(f"{text}: {'good' if good else 'NOT good'}", flush=True)
    run["good"] = good
    run["subjects"] = [
        json.loads(json.dumps(asdict(samples), default=str)) for samples in result.subjects
    ]
    for subject in run["subjects"]:
        subject["subject"]["model"] = Path(subject["subject"]["model"]).name
    return run


if __name__ == "__main__":
    main()
