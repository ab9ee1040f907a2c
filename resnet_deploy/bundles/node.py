"""The node bundle: a typed ES module on onnxruntime-node."""

from __future__ import annotations

from typing import Final

from resnet_deploy.bundles.javascript import core_files, npm_release
from resnet_deploy.bundles.kit import Kit, Rendered

_COMMANDS: Final = ("npm install", "npm test")


def render(kit: Kit) -> Rendered:
    """Return the files of the bundle."""
    own = kit.render_folder(
        "node",
        onnxruntime=npm_release(kit),
        commands=_COMMANDS,
        example=kit.cases[-1].image_file,
    )
    own[".npmrc"] = own.pop("npmrc")  # a template that starts with a dot would be hard to see
    return Rendered(
        files={**kit.common_files(), **core_files(kit, "lib"), **own}, commands=_COMMANDS
    )
