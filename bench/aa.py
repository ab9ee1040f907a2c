"""A/A trials: the same file twice, where any difference that is told is wrong.

    python bench/aa.py [MODEL.onnx] [--trials 100]

Each trial is a real benchmark with fresh processes and the real rule for stopping; it must say "no
difference". Without a file, a ResNet-18 at 64x64 with random weights is exported first. Trials
are recorded in ``results/aa.json``: the interval of each, and how many were wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from resnet_deploy.artifact.files import write_atomically
from resnet_deploy.benchmark import default_subjects, measure, open_models
from resnet_deploy.results import BenchmarkResult
from resnet_deploy.runners.cpu import environment
from resnet_deploy.spec import BenchSpec

RESULTS = Path(__file__).parent / "results" / "aa.json"
FEWEST_RIGHT = 0.95


def one_trial(model: Path, seed: int, seconds: float, threads: int) -> BenchmarkResult:
    spec = BenchSpec(
        threads=threads,
        runs_per_round=10,
        rounds_per_process=2,
        warmup_seconds=0.1,
        time_limit=seconds,
        seed=seed,
    )
    subject = default_subjects(open_models([model])[:1], ("ort",), spec)[0]
    pair = [replace(subject, label="A"), replace(subject, label="A again")]
    return measure(pair, spec, environment=environment("python bench/aa.py"))


def exported(folder: Path) -> Path:
    import subprocess

    command = [sys.executable, "-m", "resnet_deploy", "export", "--depth", "18"]
    command += ["--image-size", "64", "--num-classes", "10", "-o", str(folder)]
    subprocess.run(command, check=True)
    return folder / "resnet18.onnx"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=3.8, help="time limit of each trial")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", type=Path, default=RESULTS)
    asked = parser.parse_args()

    trials = []
    with tempfile.TemporaryDirectory() as folder:
        model = asked.model or exported(Path(folder))
        for seed in range(asked.trials):
            begin = time.perf_counter()
            result = one_trial(model, seed, asked.seconds, asked.threads)
            (ratio,) = result.ratios
            trials.append(
                {
                    "seed": seed,
                    "low": ratio.low,
                    "median": ratio.median,
                    "high": ratio.high,
                    "confidence": ratio.confidence,
                    "differs": ratio.differs,
                    "processes": ratio.by_process,
                    "seconds": time.perf_counter() - begin,
                }
            )
            print(
                f"{seed + 1:4} {'DIFFERENT' if ratio.differs else 'no difference':13} "
                f"{ratio.low:.3f}-{ratio.high:.3f} in {len(ratio.processes) or 1} processes, "
                f"{trials[-1]['seconds']:.1f} s",
                flush=True,
            )
    wrong = sum(bool(trial["differs"]) for trial in trials)
    here = result.environment
    record = {
        "model": model.name,
        "trials": len(trials),
        "no_difference": len(trials) - wrong,
        "cpu": here.cpu,
        "cores": here.cores,
        "versions": here.versions,
        "each": trials,
    }
    write_atomically(asked.json, (json.dumps(record, indent=1) + "\n").encode())
    print(f"no difference in {len(trials) - wrong} of {len(trials)} trials")
    sys.exit(0 if wrong <= (1 - FEWEST_RIGHT) * len(trials) else 1)


if __name__ == "__main__":
    main()
