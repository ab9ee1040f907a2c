"""A host that only runs files has no torch; nothing there may ask for it."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_deploy.dependencies import INSTALL, MAKING
from tests.support.requirements import ROOT, RUNTIME, closure, lines_of, normalised


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which nothing beyond ``requirements-runtime.txt`` can be imported."""
    allowed = closure(lines_of(RUNTIME)) | {"resnet-deploy"}
    hidden = [
        module
        for module, owners in packages_distributions().items()
        if not allowed & {normalised(owner) for owner in owners} and module.isidentifier()
    ]
    assert set(MAKING) <= set(hidden)
    folder = tmp_path_factory.mktemp("no-torch")
    hide = f"import sys\nsys.modules.update(dict.fromkeys({sorted(hidden)!r}))\n"
    (folder / "sitecustomize.py").write_text(hide, encoding="utf-8")
    return {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_export: Path) -> Path:
    folder = tmp_path_factory.mktemp("host")
    for path in tiny_export.iterdir():
        shutil.copy(path, folder)
    random = np.random.default_rng(0)
    for number in range(10):
        (folder / "data" / f"class{number}").mkdir(parents=True)
        pixels = random.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "data" / f"class{number}" / "0.png")
    return folder


def cli(folder: Path, host: dict[str, str], line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "resnet_deploy", *line.split()],
        cwd=folder,
        env=host,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "line",
    [
        "predict resnet8.int8.onnx data/class0/0.png",
        "evaluate resnet8.int8.onnx --data data --against resnet8.onnx",
        "quantize resnet8.onnx --calibration data -o again.onnx",
        "verify resnet8.int8.onnx --against resnet8.onnx --per-layer",
        "bench resnet8.onnx --rounds 2 --runs 2",
        "summary resnet8.int8.onnx",
        "doctor",
    ],
)
def test_works_without_torch(folder: Path, host: dict[str, str], line: str) -> None:
    done = cli(folder, host, line)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "line",
    [
        "export --depth 8",
        "summary --depth 8",
        "verify resnet8.onnx",
        "verify resnet8.onnx --against weights.pth",
        "verify resnet8.onnx --witness --data images",
        "bench resnet8.onnx --runner torch",
    ],
)
def test_what_needs_torch_says_how_to_get_it(folder: Path, host: dict[str, str], line: str) -> None:
    done = cli(folder, host, line)
    assert done.returncode == 3
    assert INSTALL in done.stderr
    assert "\n" not in done.stderr.strip()
