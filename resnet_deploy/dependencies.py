"""What only making networks needs, asked for in words where a host was set up without it."""

from __future__ import annotations

import importlib

from resnet_deploy.errors import MissingDependencyError
from resnet_deploy.processes.interrupts import interrupts_deferred

MAKING = {
    "onnxscript": "exporting models",
    "onnxsim": "simplifying exported graphs",
    "safetensors": "reading .safetensors checkpoints",
    "torch": "building and exporting models, training them, and the torch runners",
}
"""Package -> what needs it: the dependencies that ``requirements-runtime.txt`` leaves out."""

INSTALL = f"pip install {' '.join(MAKING)}"
"""The command that turns a host that only runs files into one that makes them."""


def require(package: str, purpose: str) -> None:
    """Import ``package``, one of ``MAKING``; a broken installation counts as none.

    Raises:
        MissingDependencyError: it is not; the message names the install command.
    """
    try:
        with interrupts_deferred():
            importlib.import_module(package)
    except ImportError as error:
        raise MissingDependencyError(f"{purpose} needs the package {package}: {INSTALL}") from error
