"""The web bundle: a static page on onnxruntime-web, and a page that runs the golden cases."""

from __future__ import annotations

import re
from typing import Final

from resnet_deploy.bundles.javascript import core_files
from resnet_deploy.bundles.kit import Kit, Rendered
from resnet_deploy.bundles.npm import npm_release, package_lock
from resnet_deploy.bundles.rendering import Written

_POLICY: Final = Written(
    "; ".join(
        (
            "default-src 'none'",
            "script-src 'self' 'wasm-unsafe-eval'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
)
"""The minimum that onnxruntime-web needs: its WebAssembly is compiled in the browser.

Threads are workers, for which ``script-src`` counts where there is no ``worker-src``.
"""

_COMMANDS: Final = (Written("npm ci"), Written("npm start"))

_IMPORTED: Final = re.compile(r"((?:\.{1,2}/)[\w./-]+)\.mjs\b")


def render(kit: Kit) -> Rendered:
    """Return the files of the bundle."""
    release = npm_release(kit.max_onnxruntime)
    own = kit.render_folder("web", policy=_POLICY, onnxruntime=release, commands=_COMMANDS)
    own["package-lock.json"] = package_lock(own["package.json"], "onnxruntime-web", release)
    code = {**core_files(kit, "lib"), **own}
    return Rendered(
        files={**kit.common_files(), **dict(_for_browsers(*file) for file in code.items())},
        commands=_COMMANDS,
        notes=(
            "npm start goes on until Ctrl+C: open the selftest.html that it names, which says "
            "PASS or the first case that differs",
        ),
    )


def _for_browsers(name: str, module: bytes) -> tuple[str, bytes]:
    """Return a module under a name that every web server knows to be JavaScript.

    Many send ``.mjs`` as something else, which browsers refuse to run.
    """
    if not name.endswith(".mjs"):
        return name, module
    return name.removesuffix(".mjs") + ".js", _IMPORTED.sub(r"\1.js", module.decode()).encode()
