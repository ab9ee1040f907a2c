"""Triton's server and schema and KServe's models, as PyPI has them: fetched once, then kept."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest

from resnet_deploy.artifact.cache import cache_folder

_SCHEMAS = ("tritonclient==2.73.0", "kserve==0.21.0")

_SERVER = ("nvidia-pytriton==0.7.0", "numpy==1.26.4")
"""The Python backend in it knows NumPy 1 only; ONNX Runtime takes both."""


def schemas() -> Path:
    """Return a folder with the packages that carry the schemas."""
    return _installed(_SCHEMAS)


def server() -> Path:
    """Return a folder with the packages that carry the server."""
    return _installed(_SERVER)


def _installed(packages: tuple[str, ...]) -> Path:
    text = f"{sys.version_info[:2]} {packages}"
    kept = cache_folder() / "triton" / hashlib.sha256(text.encode()).hexdigest()[:16]
    if kept.is_dir():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        # What they depend on is a server's and a cluster's, not a schema's.
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary"]
        done = subprocess.run(
            [*command, ":all:", "--target", f"{folder}/new", *packages],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            why = done.stderr.strip().splitlines()[-1:]
            _missing(f"{', '.join(packages)} can't be installed: {' '.join(why)}")
        try:
            Path(folder, "new").rename(kept)
        except OSError:  # another process was first
            if not kept.is_dir():
                raise
    return kept


def _missing(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
