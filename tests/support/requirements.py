"""What the package declares that it needs, read from its own files and the installed metadata."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The folder of the project."""

RUNTIME = ROOT / "requirements-runtime.txt"
"""What a host needs that runs files and makes no networks."""


def lines_of(path: Path) -> list[str]:
    """Return the requirements that a file lists, without its comments."""
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return [line for line in lines if line]


def name_of(requirement: str) -> str:
    """Return the normalised name of ``Some_Package>=1``: ``some-package``."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return normalised(found.group())


def normalised(name: str) -> str:
    """Return a distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(requirements: Iterable[str]) -> set[str]:
    """Return the names of distributions that ``requirements`` bring, those of extras left out."""
    found: set[str] = set()
    waiting = [name_of(requirement) for requirement in requirements]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        try:
            needs = requires(name) or []
        except PackageNotFoundError:  # of another platform or Python
            continue
        waiting += [name_of(need) for need in needs if "extra ==" not in need]
    return found
