"""What compiles native bundles here: tools of the machine, ONNX Runtime's headers and library."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

import resnet_deploy
from resnet_deploy.bundles.third_party import debian_headers, onnxruntime_library
from resnet_deploy.errors import MissingDependencyError

NATIVE_TEMPLATES = Path(resnet_deploy.__file__).parent / "bundles/templates/native"
"""The headers that no contract changes can be compiled where they lie."""

STRICT = "-Wall -Wextra -Wpedantic -Werror"

PLAIN = "None"
"""The ``CMAKE_BUILD_TYPE`` that optimises nothing, which takes half the time. What is the same in
all bundles is built optimised, and with the warnings of that, in ``test_cpp_bundle.py``."""


def unavailable(reason: str) -> NoReturn:
    """Skip the test, or fail it where CI should have what is missing."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def tool(name: str, package: str) -> str:
    """Return the path of a program; ``package`` is Debian's that has it."""
    found = shutil.which(name)
    if found is None:
        unavailable(f"{name} is not installed: apt-get install {package}")
    return found


def wheel_library() -> Path:
    """Return the ONNX Runtime library of the installed wheel."""
    try:
        return onnxruntime_library()
    except MissingDependencyError as error:
        unavailable(str(error))


def openvino_root() -> Path:
    """Return the folder of the installed OpenVINO: libraries, headers and CMake's files."""
    return Path(str(importlib.metadata.distribution("openvino").locate_file("openvino")))


@cache
def headers() -> Path:
    """Return the folder of ONNX Runtime's C and C++ headers; fetched once and kept."""
    try:
        return debian_headers()
    except MissingDependencyError as error:
        unavailable(f"ONNX Runtime's headers can't be fetched: {error}")


def ort_root(folder: Path, library: Path | None = None) -> Path:
    """Make ``folder`` look like an unpacked release of ONNX Runtime, and return it.

    ``library`` is that of the wheel unless another is given, such as one for another CPU.
    """
    library = library or wheel_library()
    (folder / "lib").mkdir(parents=True)
    (folder / "include").symlink_to(headers(), target_is_directory=True)
    for name in ("libonnxruntime.so", "libonnxruntime.so.1", library.name):
        (folder / "lib" / name).symlink_to(library)
    return folder


def run(
    command: list[str], folder: Path, seconds: int = 300, *, expect: int = 0, **variables: str
) -> str:
    """Run ``command`` in ``folder`` and return what it says; a failure shows all of it.

    CMake builds two files at a time.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
        env={**os.environ, "CMAKE_BUILD_PARALLEL_LEVEL": "2", **variables},
    )
    assert done.returncode == expect, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


if __name__ == "__main__":
    ort_root(Path(sys.argv[1]))
