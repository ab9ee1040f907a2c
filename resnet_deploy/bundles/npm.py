"""What node and web bundles take from npm: which release of ONNX Runtime, and the lockfile for it.

``npm_packages.json`` has what there is of both onnxruntime-node and onnxruntime-web (npm skips some
of Python's releases) with the SHA-512 of each, and what they need, from the release on that first
did: the entries that ``npm install --package-lock-only --omit-lockfile-registry-resolved`` wrote.
So a lockfile names no registry: npm asks the one that it is configured for, and the hashes hold.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
from typing import Any, Final

_FILE: Final = "npm_packages.json"


def npm_release(tested: str) -> str:
    """Return the newest npm release of ONNX Runtime that is not newer than Python's ``tested``."""
    releases: list[str] = list(_known()["releases"])
    newest = _numbers(tested)
    older = (release for release in reversed(releases) if _numbers(release) <= newest)
    return next(older, releases[0])


def package_lock(package_json: bytes, package: str, release: str) -> bytes:
    """Return the ``package-lock.json`` beside a ``package.json`` that depends on one package.

    Args:
        package_json: with ``name`` and exact versions.
        package: ``onnxruntime-node`` or ``onnxruntime-web``.
        release: one that ``npm_release`` returns.
    """
    known = _known()
    needs = known["packages"][package]
    first = max((first for first in needs if _numbers(first) <= _numbers(release)), key=_numbers)
    hashes = known["releases"][release]
    packages = {
        name: _of_release(entry, name, release, hashes) if name in hashes else entry
        for name, entry in needs[first].items()
    }
    root = json.loads(package_json)
    described = {name: root[name] for name in ("name", "version") if name in root}
    kept = ("dependencies", "engines")
    own = {**described, **{name: root[name] for name in kept if name in root}}
    if "postinstall" in root.get("scripts", {}):
        own["hasInstallScript"] = True
    lock = {
        **described,
        "lockfileVersion": 3,
        "requires": True,
        "packages": {"": own, **{f"node_modules/{name}": packages[name] for name in packages}},
    }
    return (json.dumps(lock, indent=2) + "\n").encode()


def _of_release(
    entry: dict[str, Any], name: str, release: str, hashes: dict[str, str]
) -> dict[str, Any]:
    """Return an entry of ONNX Runtime's own packages, which need each other in one release."""
    needed = dict(entry.get("dependencies", {}))
    if name != "onnxruntime-common":
        needed["onnxruntime-common"] = release
    return {
        "version": release,
        "integrity": hashes[name],
        **entry,
        **({"dependencies": needed} if needed else {}),
    }


def _numbers(version: str) -> tuple[int, ...]:
    """Major, minor and patch: what follows, such as ``.dev20260114``, does not count."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


@functools.cache
def _known() -> dict[str, Any]:
    text = importlib.resources.files("resnet_deploy.bundles").joinpath(_FILE).read_text("utf-8")
    known: dict[str, Any] = json.loads(text)
    return known
