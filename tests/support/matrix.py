"""Cells that are made at once: what ``deploy --matrix`` is asked for in tests."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from resnet_deploy.artifact.artifact import Artifact
from resnet_deploy.artifact.files import sha256_of
from resnet_deploy.artifact.onnx_file import load
from resnet_deploy.data.datasets import Data
from resnet_deploy.errors import DatasetError
from resnet_deploy.models.network import Network
from resnet_deploy.progress import Progress
from resnet_deploy.results import BundleReport, Deployment, Environment
from resnet_deploy.spec import ClusterSpec
from resnet_deploy.spec.matrix import CellOptions, Matrix, MatrixCell
from tests.support.reports.samples import bundle


@dataclass(frozen=True)
class QuickVerbs:
    """Implements ``Verbs``: what a cell is called (``name``) says what becomes of it."""

    workers: int | None = None
    cluster: ClusterSpec | None = None

    def load(self, options: CellOptions) -> Artifact:
        return load(Path(str(options.weights)))

    def pictures(self, options: CellOptions) -> tuple[Data | None, Data | None, Data | None]:
        place = None if options.calibration is None else Path(options.calibration)
        return place, None, None

    def deploy(
        self,
        source: Network | Artifact,
        options: CellOptions,
        out: Path,
        *,
        threads: int,
        environment: Environment,
        progress: Progress,
    ) -> Deployment:
        if options.name == "missing":
            raise DatasetError("there are no pictures: name them")
        if options.name == "fault":
            raise ZeroDivisionError
        if options.name == "stop":
            raise KeyboardInterrupt
        if options.name == "swallowed":
            with suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
            raise AttributeError("module 'torch' has no attribute 'nn'")
        if options.name == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        path = out / "net.onnx"
        path.write_bytes(f"{options.seed} {self}".encode())
        return Deployment(
            files={} if options.name == "far" else {"fp32": str(path)},
            sha256={"fp32": sha256_of(path)},
            parity={},
            inspection=None,
            allowed_float_ops=False,
            notices=(f"{path} was made",),
            seconds=0.0,
            environment=environment,
        )

    def bundle(self, path: Path, options: CellOptions, out: Path) -> BundleReport:
        out.mkdir()
        (out / "app.txt").write_bytes(path.read_bytes())
        return bundle()


def matrix(**cells: CellOptions) -> Matrix:
    """Return one net for targets of these names."""
    return Matrix(
        file="m.toml",
        cells=tuple(MatrixCell(net="net", target=name, options=cells[name]) for name in cells),
    )
