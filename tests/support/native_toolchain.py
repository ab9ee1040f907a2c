"""What compiles native bundles here: tools of the machine, ONNX Runtime's headers and library."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

import resnet_deploy
from resnet_deploy.errors import MissingDependencyError
from tests.support.debian_suite import from_suites

NATIVE_TEMPLATES = Path(resnet_deploy.__file__).parent / "bundles/templates/native"
"""The headers that no contract changes can be compiled where they lie."""

STRICT = "-Wall -Wextra -Wpedantic -Werror"

_SUITE = "trixie"
"""Debian's first release with ONNX Runtime's headers (1.21); a newer library is fine with them."""

_LIBRARY = re.compile(r"libonnxruntime\.so\.(\d+)\.\d+\.\d+")


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
    package = Path(str(importlib.metadata.distribution("onnxruntime").locate_file("onnxruntime")))
    for one in sorted((package / "capi").iterdir()):
        if _LIBRARY.fullmatch(one.name):
            return one
    unavailable(f"the wheel of ONNX Runtime in {package} has no libonnxruntime.so: use Linux")


@cache
def headers() -> Path:
    """Return the folder of ONNX Runtime's C and C++ headers; fetched once and kept.

    The package alone: its library is that of Debian, ours is the wheel's.
    """
    try:
        return from_suites("libonnxruntime-dev", "usr/include/onnxruntime", [_SUITE])
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


def run(command: list[str], folder: Path, seconds: int = 300, **variables: str) -> str:
    """Run ``command`` in ``folder`` and return what it says; a failure shows all of it."""
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
        env={**os.environ, **variables},
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


if __name__ == "__main__":
    ort_root(Path(sys.argv[1]))
