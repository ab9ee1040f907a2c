"""The node bundle: a typed ES module on onnxruntime-node."""

from __future__ import annotations

from typing import Final

from resnet_deploy.bundles.javascript import core_files
from resnet_deploy.bundles.kit import Kit, Rendered
from resnet_deploy.bundles.npm import npm_release, package_lock
from resnet_deploy.bundles.rendering import Written

_COMMANDS: Final = (Written("npm ci"), Written("npm test"))


def render(kit: Kit) -> Rendered:
    """Return the files of the bundle."""
    release = npm_release(kit.max_onnxruntime)
    program, other = "classify.mjs", "outputs.mjs"
    if not kit.contract.has_classes:
        program, other = other, program
    rendered = kit.render_folder(
        "node",
        onnxruntime=release,
        commands=_COMMANDS,
        example=kit.cases[-1].image_file,
        program=program,
    )
    unused = (other,) if kit.contract.has_classes else (other, "examples/")
    own = {name: data for name, data in rendered.items() if not name.startswith(unused)}
    own[".npmrc"] = own.pop("npmrc")  # a template that starts with a dot would be hard to see
    own["package-lock.json"] = package_lock(own["package.json"], "onnxruntime-node", release)
    return Rendered(
        files={**kit.common_files(), **core_files(kit, "lib"), **own}, commands=_COMMANDS
    )
