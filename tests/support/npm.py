"""Node.js and npm packages for tests: installed once, kept, then used without the network."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from resnet_deploy.artifact.cache import cache_folder

_SECONDS = 600


def find_node() -> str:
    """Return Node.js; without it or npm the test is skipped, and fails in CI."""
    _tool("npm", "npm")
    return _tool("node", "nodejs")


def modules(packages: Mapping[str, str]) -> Path:
    """Return a ``node_modules`` folder with ``packages``, exact versions by name.

    Link to it, or put what uses it beside it; don't change it. No package runs a script of its own.
    """
    wanted = json.dumps({"private": True, "dependencies": dict(packages)}, sort_keys=True)
    return _kept("install", {"package.json": wanted}) / "node_modules"


def ci(folder: Path) -> None:
    """Give ``folder`` the ``node_modules`` that ``npm ci`` puts there by its lockfile.

    It is a link: that is done once for each lockfile.
    """
    wanted = {name: (folder / name).read_text() for name in ("package.json", "package-lock.json")}
    kept = _kept("ci", wanted)
    (folder / "node_modules").symlink_to(kept / "node_modules", target_is_directory=True)


def run(
    command: list[str], folder: Path, *, expect: int = 0, seconds: int = 120
) -> subprocess.CompletedProcess[str]:
    """Run ``command`` in ``folder``; an exit code other than ``expect`` shows what it said."""
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        # A colour would break what is compared, on the terminal of a developer alone.
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == expect, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done


def _kept(command: str, wanted: Mapping[str, str]) -> Path:
    """Return a folder of the files ``wanted``, by name, in which npm ran ``command`` once."""
    key = hashlib.sha256("".join(wanted.values()).encode()).hexdigest()[:16]
    kept = cache_folder() / "npm" / key
    if not kept.is_dir():
        _install(command, wanted, kept)
    return kept


def _install(command: str, wanted: Mapping[str, str], kept: Path) -> None:
    npm = _tool("npm", "npm")
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".install-") as name:
        scratch = Path(name) / "packages"
        scratch.mkdir()
        for file, text in wanted.items():
            (scratch / file).write_text(text, encoding="utf-8")
        options = ["--ignore-scripts", "--no-audit", "--no-fund"]
        if command == "install":
            options.append("--no-package-lock")
        done = subprocess.run(
            [npm, command, *options],
            cwd=scratch,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            _unavailable(f"npm {command} failed in {scratch}: {done.stderr[-500:]}")
        try:
            scratch.rename(kept)
        except OSError:
            if not kept.is_dir():  # else another process put it there meanwhile
                raise


def _tool(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        _unavailable(f"{name} is not installed: apt-get install {package}")
    return found


def _unavailable(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
