"""Optional packages, asked for in words when they are missing."""

from __future__ import annotations

import importlib.util

from resnet_deploy.errors import MissingDependencyError


def require(package: str, purpose: str) -> None:
    """Check that ``package`` of the ``export`` extra is installed, without importing it.

    Raises:
        MissingDependencyError: it is not; the message names the install command.
    """
    if importlib.util.find_spec(package) is None:
        raise MissingDependencyError(
            f"{purpose} needs the package {package}: pip install 'resnet-deploy[export]'"
        )
