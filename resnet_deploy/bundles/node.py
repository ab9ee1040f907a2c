"""The node bundle: a typed ES module on onnxruntime-node."""

from __future__ import annotations

from typing import Final

from resnet_deploy.bundles.javascript import core_files, npm_release
from resnet_deploy.bundles.kit import Kit, Rendered

_FILES: Final = {
    ".npmrc": "npmrc",
    "README.md": "README.md",
    "classify.mjs": "classify.mjs",
    "index.d.mts": "index.d.mts",
    "index.mjs": "index.mjs",
    "package.json": "package.json",
    "selftest.test.mjs": "selftest.test.mjs",
}
"""Files of the bundle and their templates: one that starts with a dot would be hard to see."""

_COMMANDS: Final = ("npm install", "npm test")


def render(kit: Kit) -> Rendered:
    """Return the files of the bundle."""
    onnxruntime = npm_release(kit)
    example = kit.cases[-1].picture_file
    own = {
        name: kit.render(
            f"node/{template}", onnxruntime=onnxruntime, commands=_COMMANDS, example=example
        )
        for name, template in _FILES.items()
    }
    return Rendered(
        files={**kit.common_files(), **core_files(kit, "lib"), **own}, commands=_COMMANDS
    )
