"""The main job of an installed package, from a net to a bundle that passes its self-test.

``python -I main_job.py FOLDER ARTIFACTS`` works in ``FOLDER``, which is empty, and reads the files
that an earlier release wrote from ``ARTIFACTS``. It prints a line of JSON for each step: its name
and, where it failed, why; it ends at the first one that did. It needs CMake and a C++ compiler.

:mod:`release.compat` runs it in environments that hold nothing but the package and what it depends
on, so it imports nothing else of this project.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


def draw_pictures(folder: Path) -> None:
    """Write 40 pictures with edges and shades, of ten classes."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for number in range(40):
        pixels = sum(
            random.uniform(0, 60, (48 // side + 1, 56 // side + 1, 3))
            .repeat(side, 0)
            .repeat(side, 1)[:48, :56]
            for side in (2, 4, 8, 16)
        )
        place = folder / f"class{number % 10}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(pixels).astype(np.uint8)).save(place / f"{number}.jpg")


def command_line(*words: object) -> None:
    """Run the command that the package installs; what it says shows where it fails."""
    _succeed([str(Path(sys.executable).with_name("resnet-deploy")), *map(str, words)], Path())


def export() -> None:
    """Export ResNet-8 with random weights, quantize it, and compare both files with PyTorch.

    Whether int8 is faster here is not asked.
    """
    draw_pictures(Path("images"))
    command_line("export", "--depth", 8, "--calibration", "images", "--keep-slow", "-o", "deployed")


def evaluate() -> None:
    """Evaluate the int8 file beside the fp32 one."""
    command_line(
        *("evaluate", "deployed/resnet8.int8.onnx", "--data", "images"),
        *("--against", "deployed/resnet8.onnx", "--json", "evaluated.json"),
    )
    json.loads(Path("evaluated.json").read_text(encoding="utf-8"))


def load(recorded: Path) -> None:
    """Load weights in safetensors, and files that other versions wrote; they still agree."""
    import resnet_deploy as rd

    rd.export(rd.load("cifar10"))
    fp32, int8 = (recorded / f"resnet20-cifar10{end}.onnx" for end in ("", ".int8"))
    rd.verify(rd.load(fp32)).check()
    rd.verify(rd.load(int8), against=rd.load(fp32)).check()


def bundle() -> None:
    """Pack the int8 file with the installed ONNX Runtime for C++, build that, run its self-test."""
    import resnet_deploy as rd

    report = rd.bundle("deployed/resnet8.int8.onnx", "cpp", "app", with_runtime=True)
    for command in report.commands:
        said = _succeed(["sh", "-c", command], Path("app"))
    if not said.startswith("PASS "):
        raise RuntimeError(f"the self-test says {said.strip()}")


def main(folder: Path, recorded: Path) -> bool:
    """Run the steps; return whether all of them succeeded."""
    os.chdir(folder)
    steps: dict[str, Callable[[], None]] = {
        "export": export,
        "evaluate": evaluate,
        "load": lambda: load(recorded),
        "bundle": bundle,
    }
    for name, step in steps.items():
        try:
            step()
        # Whatever happens is the answer: an import that fails, a native library that refuses.
        except Exception as error:
            why = str(error).strip().splitlines()[-1:] or [""]
            print(json.dumps({"step": name, "error": f"{type(error).__name__}: {why[0]}"}))
            return False
        print(json.dumps({"step": name, "error": ""}), flush=True)
    return True


def _succeed(command: list[str], folder: Path) -> str:
    # The self-test is about answers: what it is built from need not be fast.
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "CMAKE_BUILD_TYPE": "Debug"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


if __name__ == "__main__":
    first, second = (Path(word).resolve() for word in sys.argv[1:])
    sys.exit(0 if main(first, second) else 1)
