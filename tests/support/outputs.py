"""The files of the fixture ``output_exports``."""

from __future__ import annotations

from pathlib import Path


def paths(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.onnx", folder / f"{name}.int8.onnx"
