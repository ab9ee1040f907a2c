"""The cpp bundle."""

from __future__ import annotations

from resnet_deploy.bundle.kit import Kit, Rendered


def render(kit: Kit) -> Rendered:
    """Return the files of the bundle."""
    return Rendered(files=kit.common_files(), commands=())
