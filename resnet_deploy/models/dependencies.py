"""Optional packages, asked for in words when they are missing."""

from __future__ import annotations

import importlib

from resnet_deploy.errors import MissingDependencyError
from resnet_deploy.processes.interrupts import interrupts_deferred


def require(package: str, purpose: str) -> None:
    """Import ``package`` of the ``export`` extra; a broken installation counts as none.

    Raises:
        MissingDependencyError: it is not; the message names the install command.
    """
    try:
        with interrupts_deferred():
            importlib.import_module(package)
    except ImportError as error:
        raise MissingDependencyError(
            f"{purpose} needs the package {package}: pip install 'resnet-deploy[export]'"
        ) from error
