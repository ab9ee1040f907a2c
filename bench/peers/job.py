"""What a peer is told to do, and the command line that all peers share."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Job:
    """Make ``name`` ready to run, from ``fp32`` (ONNX) or ``weights`` (a PyTorch state dict).

    ``calibration`` is a ``.npy`` file of prepared images ``(N, 3, H, W)``, which ``pixels`` has as
    PNG files; ``out`` is where results belong. ``batch`` is for peers that must know it.
    """

    name: str
    depth: int
    image_size: int
    fp32: str
    weights: str
    pixels: str
    calibration: str
    out: str
    batch: int

    def images(self) -> Iterator[np.ndarray]:
        """Yield the calibration images one by one, ``(1, 3, H, W)``."""
        for image in np.load(self.calibration, mmap_mode="r"):
            yield np.ascontiguousarray(image[None])

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Job:
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def input_name(model: str) -> str:
    """Return the name of the only input of the ONNX file ``model``."""
    import onnx

    return onnx.load(model, load_external_data=False).graph.input[0].name


def run(
    make: Callable[[Job], list[Path]],
    packages: tuple[str, ...],
    opener: Callable[..., Any] | None = None,
) -> None:
    """Be the program of a peer.

    ``make`` returns the files it wrote, the one to open first. ``packages`` are those whose
    versions matter. ``opener`` is what ``serve`` opens models with; without one, the file is run
    by our own ONNX Runtime runner.
    """
    verb = sys.argv[1]
    if verb == "serve":
        from resnet_deploy.measure.child import main

        main(opener) if opener else main()
        return
    job = Job.read(Path(sys.argv[2]))
    out = Path(job.out)
    files = make(job)
    made = {
        "model": str(files[0]),
        "bytes": sum(file.stat().st_size for file in files),
        "versions": {package: importlib.metadata.version(package) for package in packages},
    }
    (out / "made.json").write_text(json.dumps(made), encoding="utf-8")
