"""The C++ bundle beside the Python runner: the same file, session options and input.

    python bench/cpp_latency.py --ort-root DIR [MODEL.onnx …]

``DIR`` is an unpacked release of ONNX Runtime of the version that Python has here;
``python -m tests.support.native_toolchain DIR`` makes one of the installed wheel. Without files,
ResNet-34 is exported first (random weights: speed does not depend on their values).

Both sides run as subjects of ``resnet_deploy.benchmark``: processes of their own, in turns, ratios
paired. A run is the network on a prepared input, batch size 1. ``results/cpp_latency.json`` gets
the ratios and every single run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.benchmark import default_subjects, measure
from resnet_deploy.bundles.bundling import pack
from resnet_deploy.measure.process import CHILD, SubjectProcess
from resnet_deploy.measure.stopwatch import Process
from resnet_deploy.results import BenchSubject
from resnet_deploy.runners.cpu import environment
from resnet_deploy.spec import BenchSpec, BundleTarget

RESULTS = Path(__file__).parent / "results" / "cpp_latency.json"
LIMIT = 0.03
"""How much slower C++ may be."""

_CPP = "C++"


def exported(folder: Path) -> list[Path]:
    command = [sys.executable, "-m", "resnet_deploy", "export", "--depth", "34", "-o", str(folder)]
    subprocess.run(command, check=True)
    return [folder / "resnet34.int8.onnx", folder / "resnet34.onnx"]


def compiled(bundle: Path, ort: Path) -> Path:
    child = bundle / "cpp_child"
    subprocess.run(
        [
            *("c++", "-std=c++17", "-O2", "-ffp-contract=off", "-I", str(bundle / "include")),
            *("-isystem", str(ort / "include"), str(Path(__file__).parent / "cpp_child.cpp")),
            *(f"-Wl,-rpath,{ort / 'lib'}", "-ldl", "-pthread"),
            *("-o", str(child)),
        ],
        check=True,
    )
    return child


def compared(model: Path, bundle: Path, child: Path, spec: BenchSpec) -> dict[str, Any]:
    """Measure ``model`` in Python and in C++ with the threads of ``spec``."""

    def start(subject: BenchSubject, folder: Path) -> Process:
        command = (str(child), str(bundle)) if subject.label == _CPP else CHILD
        own = folder / ("cpp" if subject.label == _CPP else "python")
        own.mkdir(exist_ok=True)
        return SubjectProcess(subject, own, command)

    python = replace(default_subjects([load(model)], ("ort",), spec)[0], label="Python")
    result = measure(
        [python, replace(python, label=_CPP)],
        spec,
        environment=environment("python bench/cpp_latency.py"),
        start=start,
    )
    (ratio,) = (ratio for ratio in result.ratios if ratio.subject == _CPP)
    subjects = json.loads(json.dumps([asdict(samples) for samples in result.subjects], default=str))
    for subject in subjects:
        subject["subject"]["model"] = model.name
    return {
        "model": model.name,
        "threads": spec.threads,
        "cpp_over_python": {
            "median": 1 / ratio.median,
            "low": 1 / ratio.high,
            "high": 1 / ratio.low if ratio.low else None,  # too few rounds for an interval
            "minima": 1 / ratio.minima,
        },
        "within": 1 / ratio.median <= 1 + LIMIT,
        "subjects": subjects,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs="*")
    parser.add_argument("--ort-root", type=Path, required=True)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=40, help="time limit of each comparison")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", type=Path, default=RESULTS)
    asked = parser.parse_args()

    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for number, model in enumerate(asked.models or exported(Path(folder))):
            bundle = Path(folder) / f"bundle-{number}"
            pack(model, BundleTarget.CPP, bundle)
            child = compiled(bundle, asked.ort_root.absolute())
            for threads in asked.threads:
                spec = BenchSpec(threads=threads, rounds=asked.rounds, time_limit=asked.seconds)
                run = compared(model, bundle, child, spec)
                found = run["cpp_over_python"]
                high = "?" if found["high"] is None else f"{found['high']:.3f}"
                print(
                    f"{run['model']:24} {threads} threads: C++ takes {found['median']:.3f} "
                    f"({found['low']:.3f} to {high}) of Python's time, "
                    f"{'within' if run['within'] else 'NOT within'} {LIMIT:.0%}",
                    flush=True,
                )
                runs.append(run)
    here = environment("python bench/cpp_latency.py")
    record = {"cpu": here.cpu, "cores": here.cores, "versions": here.versions, "runs": runs}
    write_atomically(asked.json, (json.dumps(record, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
