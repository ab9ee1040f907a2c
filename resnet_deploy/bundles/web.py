"""The web bundle: a static page on onnxruntime-web, and a page that runs the golden cases."""

from __future__ import annotations

import re
from typing import Final

from resnet_deploy.bundles.javascript import core_files, npm_release
from resnet_deploy.bundles.kit import Kit, Rendered

_FILES: Final = (
    "README.md",
    "icon.svg",
    "index.html",
    "package.json",
    "selftest.html",
    "serve.js",
    "style.css",
    "vendor.js",
)
_MODULES: Final = (
    "bundle",
    "decode",
    "elements",
    "files",
    "page",
    "runtime",
    "selftest_page",
    "speed",
)

_POLICY: Final = "; ".join(
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
"""The least with which onnxruntime-web runs: its WebAssembly is compiled in the browser.

Threads are workers, for which ``script-src`` counts where there is no ``worker-src``.
"""

_COMMANDS: Final = ("npm install", "npm start")

_IMPORTED: Final = re.compile(r"((?:\.{1,2}/)[\w./-]+)\.mjs\b")


def render(kit: Kit) -> Rendered:
    """Return the files of the bundle."""
    values = {
        "policy": _POLICY,
        "onnxruntime": npm_release(kit),
        "commands": _COMMANDS,
    }
    files = {name: kit.render(f"web/{name}", **values) for name in _FILES}
    modules = {f"app/{name}.mjs": kit.render(f"web/app/{name}.mjs", **values) for name in _MODULES}
    return Rendered(
        files={
            **kit.common_files(),
            **files,
            **dict(_for_browsers(*file) for file in {**core_files(kit, "lib"), **modules}.items()),
        },
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
    return name[: -len(".mjs")] + ".js", _IMPORTED.sub(r"\1.js", module.decode()).encode()
