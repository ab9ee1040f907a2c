"""Pages and files of the project that lie outside ``docs`` and are linked from there.

Pages link as GitHub wants it (``../../bench/README.md``), so that they are read there as well. The
site has copies of these pages and of each file that a page links to, and its links lead to those.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The folder of the project."""

PAGES = {
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "CHANGELOG.md": "project/changelog.md",
    "bench/README.md": "project/bench.md",
    "examples/node/README.md": "project/example-node.md",
    "examples/web/README.md": "project/example-web.md",
    "resnet_deploy/models/pretrained/README.md": "project/pretrained.md",
    "README.md": "index.md",
    "README.zh.md": "index.md",
}
"""Path in the project => page of the site; what the README says is said by the first page."""

_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
_FENCE = re.compile(r"(^```.*?^```)", re.S | re.M)


def project_path(page: str) -> str:
    """Return where ``page`` of the site lies in the project."""
    back = {site: path for path, site in PAGES.items() if site != "index.md"}
    return back.get(page, f"docs/{page}")


def site_path(path: str) -> str | None:
    """Return where the site has what lies at ``path`` in the project; None: nothing is there."""
    if path in PAGES:
        return PAGES[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    found = ROOT / path
    if (found / "README.md").is_file():
        return site_path(posixpath.join(path, "README.md"))
    return f"project/files/{path}" if found.is_file() else None


def linked_files(page: str, text: str) -> set[str]:
    """Return the files outside ``docs``, as paths in the project, that ``page`` links to."""
    targets = {_target(page, match[2]) for match in _LINK.finditer(_without_code(text))}
    kept = {target for target in targets if (site_path(target) or "").startswith("project/files/")}
    return {posixpath.join(path, "README.md") if (ROOT / path).is_dir() else path for path in kept}


def with_links(page: str, text: str) -> str:
    """Return the Markdown ``text`` of ``page`` with links as the site wants them."""

    def replaced(match: re.Match[str]) -> str:
        if "://" in match[2]:
            return match[0]
        place = site_path(_target(page, match[2]))
        if place is None:
            return match[0]
        return match[1] + posixpath.relpath(place, posixpath.dirname(page) or ".") + match[3]

    parts = _FENCE.split(text)
    parts[::2] = [_LINK.sub(replaced, part) for part in parts[::2]]
    return "".join(parts)


def _target(page: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(project_path(page)), link))


def _without_code(text: str) -> str:
    return "".join(_FENCE.split(text)[::2])
