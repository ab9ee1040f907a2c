"""The dependencies beside what is known of their faults: ``advisories.toml``, kept by hand.

Neither a release that ``constraints.txt`` pins nor the lowest one that ``pyproject.toml`` allows
may have a fault that a file can reach through this package. Higher ones may come to have some: the
list says what was known when it was last looked through, and nothing asks the network.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_ROOT = Path(__file__).parents[1]


def complaints(advisories: list[dict[str, str]] | None = None) -> list[str]:
    """Return a line for each release that is affected and has no reason beside it.

    Args:
        advisories: by default those of ``advisories.toml``: ``package``, ``id``, the ``affected``
            releases, ``what`` goes wrong and, if that can't happen here, why: ``unreached``.
    """
    known = read_advisories() if advisories is None else advisories
    found = []
    for where, package, version in (*_pinned(), *_lowest()):
        for advisory in known:
            if canonicalize_name(advisory["package"]) != package or "unreached" in advisory:
                continue
            if SpecifierSet(advisory["affected"], prereleases=True).contains(version):
                found.append(
                    f"{where}: {package} {version} has {advisory['id']} ({advisory['what']}): "
                    f"it affects {advisory['affected']}"
                )
    return found


def read_advisories() -> list[dict[str, str]]:
    """Return the list."""
    text = (_ROOT / "release/advisories.toml").read_text(encoding="utf-8")
    found: list[dict[str, str]] = tomllib.loads(text)["advisory"]
    return found


def _pinned() -> Iterator[tuple[str, str, Version]]:
    for line in (_ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            yield "constraints.txt", *_lowest_of(Requirement(line))


def _lowest() -> Iterator[tuple[str, str, Version]]:
    project: dict[str, Any] = tomllib.loads((_ROOT / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"].values()
    for entry in (*project["project"]["dependencies"], *(one for extra in extras for one in extra)):
        requirement = Requirement(entry)
        if requirement.specifier:
            yield "pyproject.toml", *_lowest_of(requirement)


def _lowest_of(requirement: Requirement) -> tuple[str, Version]:
    lowest = [one.version for one in requirement.specifier if one.operator in {">=", "=="}]
    return canonicalize_name(requirement.name), Version(lowest[0])
