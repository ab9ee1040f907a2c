"""Which runners there are, imported one by one when asked for, and which of them can run here."""

from __future__ import annotations

import importlib.util
import pkgutil
from collections.abc import Callable
from pathlib import Path

from resnet_deploy.dependencies import INSTALL
from resnet_deploy.errors import SpecError
from resnet_deploy.results import RunnerStatus
from resnet_deploy.runners.base import Runner
from resnet_deploy.runners.cpp_compiler import what_is_missing
from resnet_deploy.runners.cpu import has_bfloat16, isa
from resnet_deploy.runners.openvino_runner import NO_BFLOAT16, PRECISION
from resnet_deploy.runners.session_options import is_openvino_property
from resnet_deploy.spec import SessionSpec

RUNNERS = {
    "torch": "resnet_deploy.runners.torch_runner:TorchRunner",
    "torch-channels-last": "resnet_deploy.runners.torch_runner:TorchChannelsLastRunner",
    "torch-compile": "resnet_deploy.runners.torch_compile_runner:TorchCompileRunner",
    "ort": "resnet_deploy.runners.ort_runner:OrtRunner",
    "ort-openvino": "resnet_deploy.runners.ort_openvino_runner:OrtOpenVinoRunner",
    "openvino": "resnet_deploy.runners.openvino_runner:OpenVinoRunner",
    "openvino-bf16": "resnet_deploy.runners.openvino_runner:OpenVinoBfloat16Runner",
}
"""Name on the command line -> class that takes (path, SessionSpec)."""

_OPENVINO = "pip install 'resnet-deploy[openvino]'"

_PACKAGES = {
    "torch": ("torch", INSTALL),
    "torch-channels-last": ("torch", INSTALL),
    "torch-compile": ("torch", INSTALL),
    "ort-openvino": ("onnxruntime_ep_openvino", _OPENVINO),
    "openvino": ("openvino", _OPENVINO),
    "openvino-bf16": ("openvino", _OPENVINO),
}
"""Runner -> the module that it needs, and the command that installs it; ort is always there."""


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
        SpecError: no runner is called ``name``, or it has no such session option.
        ArtifactError: the file is not an ONNX image classifier.
        MissingDependencyError: the runtime is not installed.
        UnsupportedGraphError, RunnerError: the runtime can't take this model.
    """
    check_runner(name)
    runner: Callable[[Path, SessionSpec], Runner] = pkgutil.resolve_name(RUNNERS[name])
    return runner(path, spec)


def options_for(runner: str, options: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Return those of the session ``options`` that ``runner`` has, to give one list to several.

    OpenVINO's properties, in capitals, are for its runners; all other keys are ONNX Runtime's. The
    runner ``openvino-bf16`` has set the precision.
    """
    takes = _TAKES.get(runner, ())
    fixed = (PRECISION,) if runner == "openvino-bf16" else ()
    return tuple(
        (key, value)
        for key, value in options
        if is_openvino_property(key) in takes and key not in fixed
    )


_TAKES = {
    "ort": (False,),
    "ort-openvino": (False, True),
    "openvino": (True,),
    "openvino-bf16": (True,),
}
"""By runner, whether it takes properties of OpenVINO (True), options of ONNX Runtime (False)."""


def runner_status() -> tuple[RunnerStatus, ...]:
    """Return for every runner whether it can run; none of their packages is imported.

    Whether OpenVINO's plugin lists this CPU is not asked: that takes loading it.
    """
    return tuple(_status(name) for name in RUNNERS)


def _status(name: str) -> RunnerStatus:
    problem = ""
    module, command = _PACKAGES.get(name, (None, ""))
    if module is not None and importlib.util.find_spec(module) is None:
        problem = f"not installed: {command}"
    elif name == "openvino-bf16" and not has_bfloat16(isa()):
        problem = NO_BFLOAT16
    elif name == "torch-compile" and (missing := what_is_missing()) is not None:
        problem = f"needs {missing}"
    return RunnerStatus(name=name, installed=not problem, problem=problem)
