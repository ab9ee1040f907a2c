"""Which runners there are: one dict, imported one by one when asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from resnet_deploy.errors import SpecError
from resnet_deploy.runtime.base import Runner
from resnet_deploy.spec import SessionSpec

RUNNERS = {
    "torch": "resnet_deploy.runtime.torch_runner:TorchRunner",
    "ort": "resnet_deploy.runtime.ort_runner:OrtRunner",
}
"""Name on the command line -> class that takes (path, SessionSpec)."""


def check_runner(name: str) -> None:
    """Refuse the name of a runner that does not exist.

    Raises:
        SpecError: no runner is called ``name``.
    """
    if name not in RUNNERS:
        raise SpecError(f"there is no runner {name!r}: choose from {', '.join(RUNNERS)}")


def open_runner(name: str, path: Path, spec: SessionSpec) -> Runner:
    """Open the ONNX file at ``path`` with the runner called ``name``.

    Raises:
        SpecError: no runner is called ``name``.
        ArtifactError: the file is no ONNX image classifier.
        MissingDependencyError: the runtime is not installed.
        UnsupportedGraphError, RunnerError: the runtime can't take this model.
    """
    check_runner(name)
    module, _, attribute = RUNNERS[name].partition(":")
    runner: Callable[[Path, SessionSpec], Runner] = getattr(
        importlib.import_module(module), attribute
    )
    return runner(path, spec)
