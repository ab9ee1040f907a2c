"""The bill of materials of a release, in CycloneDX 1.6: what installing it brings, by whom."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from release.archives import sha256

_NAME = "resnet-deploy"
_WEIGHTS = Path(__file__).parents[1] / "resnet_deploy/models/pretrained"


def bill_of_materials(archives: Sequence[Path], time: int) -> dict[str, Any]:
    """Return the bill of the release that ``archives`` are, as of the installed dependencies.

    It holds all that ``pip install resnet-deploy`` installs on a machine of this kind, without
    extras, and the weights that the wheel carries. ``time`` is in seconds since 1970. Equal
    releases have equal bills.
    """
    needed = _needed()
    own = _component(_NAME, "application")
    own["externalReferences"] = [
        {
            "type": "distribution",
            "url": path.name,
            "hashes": [{"alg": "SHA-256", "content": sha256(path)}],
        }
        for path in archives
    ]
    parts = [_component(name, "library") for name in sorted(needed) if name != _NAME]
    weights = [_weights(path) for path in sorted(_WEIGHTS.glob("*.safetensors"))]
    links = {_reference(name): sorted(map(_reference, needed[name])) for name in needed}
    links[_reference(_NAME)] += [each["bom-ref"] for each in weights]
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": datetime.datetime.fromtimestamp(time, datetime.timezone.utc).isoformat(),
            "component": own,
        },
        "components": [*parts, *weights],
        "dependencies": [{"ref": ref, "dependsOn": links[ref]} for ref in sorted(links)],
    }
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bill, sort_keys=True))
    return {**bill, "serialNumber": f"urn:uuid:{number}"}


def as_json(bill: dict[str, Any]) -> bytes:
    """Return a bill as the content of its file."""
    return (json.dumps(bill, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _needed() -> dict[str, list[str]]:
    """Return what is installed for the package, and by whom each part is needed: name to names."""
    found: dict[str, list[str]] = {}
    waiting = [(_NAME, frozenset[str]())]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        needs = list(_requirements(name, extras))
        names = {*found.get(name, []), *(other for other, _ in needs)}
        found[name] = sorted(names - {name})
        waiting += needs
    return found


def _requirements(name: str, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    for line in importlib.metadata.requires(name) or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield canonicalize_name(requirement.name), frozenset(requirement.extras)


def _component(name: str, kind: str) -> dict[str, Any]:
    metadata = importlib.metadata.metadata(name)
    given = {field: metadata[field] for field in metadata}
    expression, text = given.get("License-Expression"), given.get("License")
    component: dict[str, Any] = {
        "type": kind,
        "bom-ref": _reference(name),
        "name": name,
        "version": metadata["Version"],
        "purl": _reference(name),
    }
    if expression:
        component["licenses"] = [{"expression": expression}]
    elif text and "\n" not in text:
        component["licenses"] = [{"license": {"name": text}}]
    return component


def _reference(name: str) -> str:
    version = importlib.metadata.version(name).replace("+", "%2B")
    return f"pkg:pypi/{canonicalize_name(name)}@{version}"


def _weights(path: Path) -> dict[str, Any]:
    return {
        "type": "machine-learning-model",
        "bom-ref": path.name,
        "name": path.stem,
        "hashes": [{"alg": "SHA-256", "content": sha256(path)}],
    }
